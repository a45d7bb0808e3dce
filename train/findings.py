"""The findings of an audit: the faulty files by kind, the groups of twins, and audit.json."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge.printable import one_line
from .near_duplicates import RULE

LEAST_SIDE = 32
FEW_IMAGES = 20
NOTABLE_IMBALANCE = 3.0
_EXAMPLES = 3
_LISTS = ("unreadable", "leaks", "conflicts", "mirrored", "copies", "misnamed", "small", "blank")


@dataclass(frozen=True)
class AuditedImage:
    """A file, relative to the root with "/", its label, and the subset of its folder ("all": none)."""

    path: str
    label: str
    subset: str


@dataclass(frozen=True)
class Remark:
    """A file, and a phrase about it."""

    path: str
    label: str
    remark: str


@dataclass(frozen=True)
class TwinGroup:
    """Two or more images that show the same.

    `identical`: their files agree in every byte; `mirrored`: one is the mirror image of another, under the
    same label.
    """

    images: tuple[AuditedImage, ...]
    identical: bool
    mirrored: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of these images; several labels contradict each other."""
        return tuple(dict.fromkeys(image.label for image in self.images))


@dataclass(frozen=True)
class Leak:
    """A test or validation image, and its nearest twin in an earlier subset."""

    image: AuditedImage
    twin: AuditedImage
    identical: bool
    mirrored: bool = False


@dataclass(frozen=True)
class MirrorImages:
    """Two images under different labels, the one the mirror image of the other."""

    image: AuditedImage
    mirror: AuditedImage


@dataclass(frozen=True)
class Audit:
    """The findings in a data set.

    Attributes:
        images: the number of files.
        classes: the number of usable images by label, in natural order, and subset.
        unreadable: files that cannot be used, with the reasons.
        leaks: test and validation images with twins in an earlier subset, test images first.
        twins: groups of two or more images that show the same. Identical files within a group of
            near-duplicates form a second group too.
        mirrored: pairs of mirror images under different labels. They contradict each other only if mirroring
            leaves the class as it is.
        misnamed: files whose name says another format than they have; they are used.
        small: images with a side below 32 pixels; they are used.
        blank: images of (nearly) one grey value; they are used.
        near_duplicates: whether pictures were compared, not only bytes.
        twin_groups: int64 [images]; images with equal numbers are twins.
        groups: int64 [images]; images with equal numbers must stay in one subset: twins, and mirror images
            under different labels.
    """

    images: int
    classes: dict[str, dict[str, int]]
    unreadable: tuple[Remark, ...]
    leaks: tuple[Leak, ...]
    twins: tuple[TwinGroup, ...]
    mirrored: tuple[MirrorImages, ...]
    misnamed: tuple[Remark, ...]
    small: tuple[Remark, ...]
    blank: tuple[Remark, ...]
    near_duplicates: bool
    twin_groups: NDArray[np.int64] = field(compare=False, repr=False)
    groups: NDArray[np.int64] = field(compare=False, repr=False)

    @property
    def conflicts(self) -> tuple[TwinGroup, ...]:
        """Groups under several labels, identical files first."""
        found = [group for group in self.twins if len(group.labels) > 1]
        return tuple(sorted(found, key=lambda group: not group.identical))

    @property
    def copies(self) -> tuple[TwinGroup, ...]:
        """Groups under one label, identical files first."""
        found = [group for group in self.twins if len(group.labels) == 1]
        return tuple(sorted(found, key=lambda group: not group.identical))

    @property
    def training_counts(self) -> dict[str, int]:
        """The number of training images of each class: those in train/, if there is one, else all."""
        return {label: counts.get("train", counts.get("all", 0)) for label, counts in self.classes.items()}

    @property
    def rare_classes(self) -> dict[str, int]:
        """Classes with fewer than 20 training images, the smallest first."""
        counts = sorted(self.training_counts.items(), key=lambda item: item[1])
        return {label: count for label, count in counts if count < FEW_IMAGES}

    @property
    def imbalance(self) -> float | None:
        """The ratio of the largest class to the smallest; None if a class has no images."""
        counts = self.training_counts.values()
        return max(counts) / min(counts) if counts and min(counts) else None

    def faults(self) -> list[str]:
        """Return at most 14 lines about what was found, the most serious first."""
        found = [
            *_leak_lines(self),
            *_conflict_lines(self),
            *_mirror_lines(self),
            *_file_lines(self),
            *_class_lines(self),
        ]
        return [one_line(line) for line in found]

    def summary(self) -> list[str]:
        """Return the faults for a terminal; one line if nothing was found."""
        return self.faults() or [f"{self.images:,} images audited: nothing found"]

    def to_json(self) -> str:
        """Return the text of audit.json, which lists every faulty file."""
        return json.dumps(self.to_record(), indent=1, ensure_ascii=False) + "\n"

    def to_record(self) -> dict[str, Any]:
        """Return the content of audit.json."""
        return {
            "images": self.images,
            "classes": self.classes,
            "imbalance": None if self.imbalance is None else round(self.imbalance, 2),
            "rare_classes": self.rare_classes,
            "near_duplicates": RULE if self.near_duplicates else None,
            **{name: [asdict(item) for item in getattr(self, name)] for name in _LISTS},
        }


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return "1 image" or "2 images"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _leak_lines(audit: Audit) -> Iterator[str]:
    for subset, before in (("test", "training or validation"), ("validation", "training")):
        leaks = [leak for leak in audit.leaks if leak.image.subset == subset]
        if leaks:
            total = sum(counts.get(subset, 0) for counts in audit.classes.values())
            yield (
                f"{len(leaks):,} of {total:,} {subset} images ({len(leaks) / total:.1%}) have a twin among "
                f"the {before} images, such as {leaks[0].image.path} and {leaks[0].twin.path}: "
                "the twins are left out of training"
            )


def _conflict_lines(audit: Audit) -> Iterator[str]:
    for identical, what, then in (
        (True, "the same file", "left out of training, because at most one label is right"),
        (False, "near-duplicates", "kept in one subset: check their labels"),
    ):
        groups = [group for group in audit.conflicts if group.identical == identical]
        if groups:
            example = " and ".join(image.path for image in _one_a_label(groups[0]))
            count = counted(len(groups), "picture")
            yield f"{count} under several labels ({what}), such as {example}: {then}"


def _mirror_lines(audit: Audit) -> Iterator[str]:
    """Yield a line about the two labels with the most mirror images of each other."""
    if not audit.mirrored:
        return
    labels = Counter(tuple(sorted((pair.image.label, pair.mirror.label))) for pair in audit.mirrored)
    (one, other), _ = labels.most_common(1)[0]
    pairs = [pair for pair in audit.mirrored if {pair.image.label, pair.mirror.label} == {one, other}]
    images = {image for pair in pairs for image in (pair.image, pair.mirror) if image.label == one}
    more = "" if len(labels) == 1 else f" (and {counted(len(labels) - 1, 'other pair')} of labels)"
    verb = "is a mirror image" if len(images) == 1 else "are mirror images"
    yield (
        f"{counted(len(images), 'image')} of {one} {verb} of images of {other}{more}, such as "
        f"{pairs[0].image.path} and {pairs[0].mirror.path}: either mirroring changes the class, or one label "
        "is wrong. They stay in one subset, and none is left out"
    )


def _one_a_label(group: TwinGroup) -> list[AuditedImage]:
    """Return the first image of each of the group's first two labels."""
    return list({image.label: image for image in reversed(group.images)}.values())[::-1][:2]


def _file_lines(audit: Audit) -> Iterator[str]:
    if audit.unreadable:
        yield f"{counted(len(audit.unreadable), 'file')} cannot be read: {_examples(audit.unreadable)}"
    for kind, what in (
        ((True, False), "copies"),
        ((False, False), "near-duplicates"),
        ((False, True), "mirror images or other near-duplicates"),
    ):
        groups = [group for group in audit.copies if (group.identical, group.mirrored) == kind]
        if groups:
            images = sum(len(group.images) for group in groups)
            yield (
                f"{images:,} images are {what} of each other, in {counted(len(groups), 'group')}, such as "
                f"{groups[0].images[0].path} and {groups[0].images[1].path}: each group stays in one subset"
            )
    for remarks, what in (
        (audit.blank, "blank or nearly so"),
        (audit.small, f"smaller than {LEAST_SIDE} pixels"),
        (audit.misnamed, "of another format than the name says"),
    ):
        if remarks:
            verb = "is" if len(remarks) == 1 else "are"
            yield f"{counted(len(remarks), 'image')} {verb} {what}: {_examples(remarks)}"


def _class_lines(audit: Audit) -> Iterator[str]:
    if rare := audit.rare_classes:
        names = _shorten([f"{label} ({count})" for label, count in rare.items()])
        count = counted(len(rare), "class", "classes")
        yield f"{count} with fewer than {FEW_IMAGES} training images: {names}"
    if audit.imbalance is not None and audit.imbalance >= NOTABLE_IMBALANCE:
        counts = audit.training_counts
        small, large = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        yield (
            f"{large} has {audit.imbalance:.1f} times as many images as {small} ({counts[large]:,} and "
            f"{counts[small]:,})"
        )


def _examples(remarks: Sequence[Remark]) -> str:
    return _shorten([f"{remark.path} ({remark.remark})" for remark in remarks])


def _shorten(names: Sequence[str]) -> str:
    more = len(names) - _EXAMPLES
    return "; ".join(names[:_EXAMPLES]) + (f"; and {more:,} more" if more > 0 else "")
