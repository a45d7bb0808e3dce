"""Divides a data set into training, validation and test images: by seed, class by class, twins together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.scoring.split import SUBSETS, SkippedImage, Split, SplitImage
from ..edge.errors import DatasetError
from ..edge.labelled import ClassFolders
from .image_facts import ImageFacts

_Images = Sequence[tuple[Path, str, str]]  # Path, label, given subset or "all".
_Unit = Sequence[int]  # Rows of images that must stay together.


def list_images(found: ClassFolders) -> list[tuple[Path, str, str]]:
    """Return (path, label, given subset or "all") of every image, in a fixed order.

    Raises DatasetError when there are fewer than two classes.
    """
    if len(found.labels) < 2:
        raise DatasetError(
            f"{found.root} has only one class ({', '.join(found.labels)}): a classifier needs at least two, "
            "each in its own sub-folder"
        )
    return [
        (path, label, subset)
        for subset, classes in sorted(found.subsets.items())
        for label in found.labels
        for path in classes.get(label, [])
    ]


def make_split(
    found: ClassFolders,
    images: _Images,
    facts: Sequence[ImageFacts],
    groups: NDArray[np.int64],
    root_as_given: str,
    fractions: tuple[float, float],
    seed: int,
) -> Split:
    """Assign every image that can be used to train, validation or test.

    `images`, `facts` and `groups` agree row by row; images with the same group number (see
    `audit.audit_images`) are twins, and are never divided. `fractions` are (validation, test): test of all
    images, validation of those that are left. Each class gives at least one image to each subset.

    A given test/ or val/ folder is used whole and nothing else is added to it. What training would see
    of it is left out instead: twins of test images, and twins of validation images in train/. Files with
    the same bytes under several labels are left out too, unless they lie in such a folder, because at
    most one of the labels is right. Near-duplicates under several labels are kept, since small
    differences may be what tells the classes apart, and so are copies under one label, since people
    copy files to balance classes. `Split.left_out` says which and why.

    Raises DatasetError, naming the class, where a subset would lack it.
    """
    given = {name for name in found.subsets if name not in ("all", "train")}
    subsets = {
        i: subset for i, (_, _, subset) in enumerate(images) if subset in given and facts[i].reason is None
    }
    left_out = _leave_out(images, facts, groups, subsets)
    pool = [
        i for i, fact in enumerate(facts) if fact.reason is None and i not in left_out and i not in subsets
    ]
    units = _gather((int(groups[i]), i) for i in pool)
    counts = Counter(images[i][1] for i in pool)
    lost = Counter(images[i][1] for i in left_out)
    shares = {label: _shares(label, counts[label], lost[label], given, fractions) for label in found.labels}
    distribution = _Distribution(images, shares)
    distribution.distribute(units, seed)
    _require_every_subset(distribution, shares, images, units)
    subsets |= distribution.subsets
    rows = tuple(
        SplitImage(fact.path, fact.sha256, images[i][1], subsets[i])
        for i, fact in enumerate(facts)
        if i in subsets and i not in left_out and fact.sha256 is not None
    )
    if not any(row.subset == "validation" for row in rows):
        raise DatasetError(f"{found.root} has a folder for validation, and no usable images in it")
    return Split(
        root_as_given,
        found.labels,
        rows,
        tuple(SkippedImage(fact.path, fact.reason) for fact in facts if fact.reason is not None),
        tuple(SkippedImage(facts[i].path, reason) for i, reason in sorted(left_out.items())),
    )


def _leave_out(
    images: _Images, facts: Sequence[ImageFacts], groups: NDArray[np.int64], fixed: dict[int, str]
) -> dict[int, str]:
    """Return why which images are used for nothing; `fixed` are those of the given test/ and val/."""
    held_out: dict[str, dict[int, int]] = {"test": {}, "validation": {}}
    for i, subset in fixed.items():
        held_out[subset].setdefault(int(groups[i]), i)
    labels: dict[str | None, set[str]] = defaultdict(set)
    for (_, label, _), fact in zip(images, facts, strict=True):
        if fact.reason is None:
            labels[fact.sha256].add(label)
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


def _gather(items: Iterable[tuple[int, int]]) -> list[_Unit]:
    """Return the images of each group."""
    found = defaultdict(list)
    for group, image in items:
        found[group].append(image)
    return list(found.values())


class _Distribution:
    """Hands out units of twins, whole, to the subsets; `subsets` holds that of each image so far."""

    def __init__(self, images: _Images, shares: Mapping[str, Sequence[int]]) -> None:
        """Take how many images of each label shall go to train, validation and test."""
        self.subsets: dict[int, str] = {}
        self._images = images
        self._missing = {label: dict(zip(SUBSETS, counts, strict=True)) for label, counts in shares.items()}
        self._empty = {label: {s for s in SUBSETS if self._missing[label][s]} for label in shares}

    def empty(self, label: str) -> list[str]:
        """Return the subsets that need an image of the label and have none."""
        return [subset for subset in SUBSETS if subset in self._empty[label]]

    def distribute(self, units: Sequence[_Unit], seed: int) -> None:
        """Give each unit to where most is missing, the largest units first, so most twins end in training.

        Units with several labels come before all others, which then make up for them.
        """
        queues: dict[str, list[_Unit]] = {label: [] for label in self._missing}
        mixed: list[_Unit] = []
        for unit in units:
            labels = {self._images[i][1] for i in unit}
            (mixed if len(labels) > 1 else queues[labels.pop()]).append(unit)
        for unit in _shuffle(mixed, [seed, len(queues)]):
            self._give(unit, SUBSETS)
        for number, (label, queue) in enumerate(queues.items()):
            for place, unit in enumerate(_shuffle(queue, [seed, number])):
                empty = self.empty(label)
                self._give(unit, empty if len(queue) - place <= len(empty) else SUBSETS)

    def _give(self, unit: _Unit, choices: Sequence[str]) -> None:
        inside = Counter(self._images[i][1] for i in unit)
        wanted = {s: sum(n * self._missing[label][s] for label, n in inside.items()) for s in choices}
        subset = max(choices, key=wanted.__getitem__)
        for label, number in inside.items():
            self._missing[label][subset] -= number
            self._empty[label].discard(subset)
        self.subsets |= dict.fromkeys(unit, subset)


def _shuffle(units: Sequence[_Unit], seed: Sequence[int]) -> list[_Unit]:
    """Return the units by size, the largest first, and those of equal size in an order drawn by the seed."""
    order = np.random.default_rng(seed).permutation(len(units))
    return sorted((units[place] for place in order), key=len, reverse=True)


def _shares(
    label: str, count: int, left_out: int, given: set[str], fractions: tuple[float, float]
) -> tuple[int, int, int]:
    """Return how many of a class's `count` images go to train, validation and test."""
    validation, test = (
        0.0 if name in given else fraction
        for name, fraction in zip(("validation", "test"), fractions, strict=True)
    )
    needed = 1 + (validation > 0) + (test > 0)
    if count < needed:
        lost = f" ({left_out} more left out as twins, or for several labels)" if left_out else ""
        raise DatasetError(
            f"Class {label!r} has {count} readable image{'' if count == 1 else 's'}{lost} to split, and "
            f"needs at least {needed}. Add images, remove the class's folder, or change --test-split"
        )
    in_test = max(1, round(count * test)) if test else 0
    in_validation = max(1, round((count - in_test) * validation)) if validation else 0
    in_test = min(in_test, count - 1 - (validation > 0))
    in_validation = min(in_validation, count - 1 - in_test)
    return count - in_test - in_validation, in_validation, in_test


def _require_every_subset(
    distribution: _Distribution, shares: Mapping[str, Sequence[int]], images: _Images, units: Sequence[_Unit]
) -> None:
    """Raise DatasetError for a class with enough images, of which too few are independent."""
    for label, counts in shares.items():
        if not distribution.empty(label):
            continue
        independent = sum(any(images[i][1] == label for i in unit) for unit in units)
        raise DatasetError(
            f"Class {label!r} has {sum(counts)} images to split, but most are near-duplicates of each other "
            f"or of another class's: they form {independent} group{'' if independent == 1 else 's'}, each of "
            f"which must stay on one side, and {sum(map(bool, counts))} groups of its own are enough. Add "
            "other pictures of it, remove the class's folder, change --test-split, or say --duplicates exact "
            "where all pictures look alike by their nature"
        )
