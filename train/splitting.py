"""Splits a data set into training, validation and test images: by seed, class by class, twins together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.scoring.split import SUBSETS, SkippedImage, Split, SplitImage
from ..edge.dataset_layout import describe_labels
from ..edge.errors import DatasetError
from ..edge.labelled import LabelledFolder
from .image_facts import ImageFacts

TwinUnit = Sequence[int]
"""Rows of images that must stay on one side of every split; mostly a single one."""


@dataclass(frozen=True)
class DatasetImage:
    """An image of a data set, its class, and the subset whose folder it lies in ("all": no such folder)."""

    path: Path
    label: str
    subset: str


class Shares(NamedTuple):
    """The share of all images that are for testing, and of the others those for validation."""

    validation: float
    test: float


def list_images(found: LabelledFolder) -> list[DatasetImage]:
    """Return every image, in a fixed order.

    Raises DatasetError when there are fewer than two classes.
    """
    if len(found.labels) < 2 and found.named_by:
        raise DatasetError(
            f"{found.named_by} names only one class ({', '.join(found.labels)}): a classifier needs two"
        )
    if len(found.labels) < 2:
        raise DatasetError(
            f"{found.root} has only one class ({', '.join(found.labels)}): a classifier needs at least two, "
            f"each in its own sub-folder.{_describe_single(found)}"
        )
    return [
        DatasetImage(path, label, subset)
        for subset, classes in sorted(found.subsets.items())
        for label in found.labels
        for path in classes.get(label, [])
    ]


def _describe_single(found: LabelledFolder) -> str:
    paths = [path for classes in found.subsets.values() for paths in classes.values() for path in paths]
    parents = (folder for path in paths for folder in path.parents if folder.is_relative_to(found.root))
    folders = dict.fromkeys((found.root, *parents))
    return describe_labels(*filter(Path.is_dir, folders))


def make_split(
    found: LabelledFolder,
    images: Sequence[DatasetImage],
    facts: Sequence[ImageFacts],
    groups: NDArray[np.int64],
    root_as_given: str,
    shares: Shares,
    seed: int,
    twins: NDArray[np.int64] | None = None,
) -> Split:
    """Assign every usable image to train, validation or test.

    `images`, `facts`, `groups` and `twins` agree row by row. Images with the same number in `groups` (see
    `findings.Audit`) stay in one subset; those with the same number in `twins`, which is `groups` where not
    given, show the same. Each class gives at least one image to each subset.

    A test/ or val/ folder of the user is used whole, and no other image is added to it. Images that would
    show it to the training are left out: twins of test images, and twins of validation images in train/. A
    mirror image under another label is no twin in `twins`, and is kept.
    Files with the same bytes under several labels are left out too, unless they lie in such a folder, because
    at most one of the labels is right. Near-duplicates under several labels are kept, because small
    differences may be what distinguishes the classes; copies under one label are kept, because people copy
    files to balance classes. `Split.left_out` lists the images that are left out, with the reasons.

    Raises DatasetError, which names the class, where a subset would have no image of a class.
    """
    given = {name for name in found.subsets if name not in ("all", "train")}
    subsets = {
        i: image.subset for i, image in enumerate(images) if image.subset in given and facts[i].reason is None
    }
    left_out = _leave_out(images, facts, groups if twins is None else twins, subsets)
    pool = [
        i for i, fact in enumerate(facts) if fact.reason is None and i not in left_out and i not in subsets
    ]
    units = twin_groups(groups, pool)
    counts = Counter(images[i].label for i in pool)
    lost = Counter(images[i].label for i in left_out)
    wanted = {label: _wanted(label, counts[label], lost[label], given, shares) for label in found.labels}
    distribution = _Distribution(images, wanted)
    distribution.distribute(units, seed)
    _require_every_subset(distribution, wanted, images, units)
    subsets |= distribution.subsets
    rows = tuple(
        SplitImage(fact.path, fact.sha256, images[i].label, subsets[i])
        for i, fact in enumerate(facts)
        if i in subsets and i not in left_out and fact.sha256 is not None
    )
    if not any(row.subset == "validation" for row in rows):
        raise DatasetError(f"{found.root} has its own validation images, and none that can be used")
    return Split(
        root_as_given,
        found.labels,
        rows,
        tuple(SkippedImage(fact.path, fact.reason) for fact in facts if fact.reason is not None),
        tuple(SkippedImage(facts[i].path, reason) for i, reason in sorted(left_out.items())),
    )


def _leave_out(
    images: Sequence[DatasetImage],
    facts: Sequence[ImageFacts],
    groups: NDArray[np.int64],
    fixed: dict[int, str],
) -> dict[int, str]:
    """Return the images that no subset gets, with the reasons; `fixed` are those in test/ and val/."""
    held_out: dict[str, dict[int, int]] = {"test": {}, "validation": {}}
    for i, subset in fixed.items():
        held_out[subset].setdefault(int(groups[i]), i)
    labels: dict[str | None, set[str]] = defaultdict(set)
    for image, fact in zip(images, facts, strict=True):
        if fact.reason is None:
            labels[fact.sha256].add(image.label)
    reasons = {}
    for i, fact in enumerate(facts):
        given, group = fixed.get(i), int(groups[i])
        if fact.reason is not None or given == "test":
            continue
        if group in held_out["test"]:
            reasons[i] = f"twin of the test image {facts[held_out['test'][group]].path}"
        elif given is None and group in held_out["validation"]:
            reasons[i] = f"twin of the validation image {facts[held_out['validation'][group]].path}"
        elif given is None and len(labels[fact.sha256]) > 1:
            reasons[i] = f"the same file has several labels: {', '.join(sorted(labels[fact.sha256]))}"
    return reasons


def twin_groups(groups: NDArray[np.int64], rows: Iterable[int]) -> list[TwinUnit]:
    """Return `rows` in units that must not be divided, by splits or by folds: images that show the same.

    `groups` is [images], as `Audit.groups`: equal numbers mean twins. Images that are not among `rows` are in
    no unit, and join none. The units come in the order of their first rows.
    """
    found: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        found[int(groups[row])].append(row)
    return list(found.values())


class _Distribution:
    """Assigns whole units of twins to the subsets; `subsets` has the subset of each image so far."""

    def __init__(
        self,
        images: Sequence[DatasetImage],
        wanted: Mapping[str, Sequence[int]],
        names: Sequence[str] = SUBSETS,
    ) -> None:
        """Take the wanted numbers of images of each label in each of the subsets `names`."""
        self.subsets: dict[int, str] = {}
        self._images, self._names = images, names
        self._missing = {label: dict(zip(names, counts, strict=True)) for label, counts in wanted.items()}
        self._empty = {label: {s for s in names if self._missing[label][s]} for label in wanted}

    def empty(self, label: str) -> list[str]:
        """Return the subsets that need an image of the label and have none."""
        return [subset for subset in self._names if subset in self._empty[label]]

    def distribute(self, units: Sequence[TwinUnit], seed: int) -> None:
        """Give each unit to the subset that lacks most, the largest units first: most twins go to training.

        Units with several labels come first, so that the others can compensate for them.
        """
        queues: dict[str, list[TwinUnit]] = {label: [] for label in self._missing}
        mixed: list[TwinUnit] = []
        for unit in units:
            labels = {self._images[i].label for i in unit}
            (mixed if len(labels) > 1 else queues[labels.pop()]).append(unit)
        for unit in _shuffle(mixed, [seed, len(queues)]):
            self._give(unit, self._names)
        for number, (label, queue) in enumerate(queues.items()):
            for place, unit in enumerate(_shuffle(queue, [seed, number])):
                empty = self.empty(label)
                self._give(unit, empty if len(queue) - place <= len(empty) else self._names)

    def _give(self, unit: TwinUnit, choices: Sequence[str]) -> None:
        inside = Counter(self._images[i].label for i in unit)
        wanted = {s: sum(n * self._missing[label][s] for label, n in inside.items()) for s in choices}
        subset = max(choices, key=wanted.__getitem__)
        for label, number in inside.items():
            self._missing[label][subset] -= number
            self._empty[label].discard(subset)
        self.subsets |= dict.fromkeys(unit, subset)


def _shuffle(units: Sequence[TwinUnit], seed: Sequence[int]) -> list[TwinUnit]:
    """Return the units by size, the largest first, and those of equal size in an order drawn by the seed."""
    order = np.random.default_rng(seed).permutation(len(units))
    return sorted((units[place] for place in order), key=len, reverse=True)


def _wanted(label: str, count: int, left_out: int, given: set[str], shares: Shares) -> tuple[int, int, int]:
    """Return how many of the `count` images of a class go to train, validation and test."""
    validation = 0.0 if "validation" in given else shares.validation
    test = 0.0 if "test" in given else shares.test
    needed = 1 + (validation > 0) + (test > 0)
    if count < needed:
        lost = f" ({left_out} more left out as twins, or for several labels)" if left_out else ""
        raise DatasetError(
            f"Class {label!r} has {count} readable image{'' if count == 1 else 's'}{lost} to split, and "
            f"needs at least {needed}. Add images, remove the class, or change --test-split"
        )
    in_test = max(1, round(count * test)) if test else 0
    in_validation = max(1, round((count - in_test) * validation)) if validation else 0
    in_test = min(in_test, count - 1 - (validation > 0))
    in_validation = min(in_validation, count - 1 - in_test)
    return count - in_test - in_validation, in_validation, in_test


def _require_every_subset(
    distribution: _Distribution,
    wanted: Mapping[str, Sequence[int]],
    images: Sequence[DatasetImage],
    units: Sequence[TwinUnit],
) -> None:
    """Raise DatasetError for a class with enough images, of which too few are independent."""
    for label, counts in wanted.items():
        if not distribution.empty(label):
            continue
        independent = sum(any(images[i].label == label for i in unit) for unit in units)
        raise DatasetError(
            f"Class {label!r} has {sum(counts)} images to split, but most are near-duplicates of each other "
            f"or of images of another class: they form {independent} group{'' if independent == 1 else 's'}, "
            f"each of which must stay in one subset, and the class needs {sum(map(bool, counts))}. Add "
            "other pictures of it, remove the class, change --test-split, or give --duplicates exact if all "
            "pictures look alike by their nature"
        )


def split_into_folds(
    images: Sequence[DatasetImage], groups: NDArray[np.int64], folds: int, seed: int
) -> NDArray[np.int64]:
    """Return the fold of each image, int64 [images], from 0 to folds - 1.

    Images with the same group number are in one fold. Otherwise the folds differ in at most one image of each
    class, and the classes whose numbers leave a rest give it to different folds.
    """
    counts = Counter(image.label for image in images)
    wanted, first = {}, 0
    for label, count in counts.items():
        wanted[label] = [count // folds + ((fold - first) % folds < count % folds) for fold in range(folds)]
        first += count % folds
    distribution = _Distribution(images, wanted, [str(fold) for fold in range(folds)])
    distribution.distribute(twin_groups(groups, range(len(images))), seed)
    return np.array([int(distribution.subsets[i]) for i in range(len(images))], np.int64)
