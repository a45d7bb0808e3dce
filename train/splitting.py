"""Divides a data set into training, validation and test images: by seed, and a class at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..benchmarks.labelled import ClassFolders
from ..benchmarks.split import SUBSETS, SkippedImage, Split, SplitImage
from ..edge.errors import DatasetError


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
    images: Sequence[tuple[Path, str, str]],
    hashes: Sequence[str | None],
    skipped: Sequence[SkippedImage],
    root_as_given: str,
    fractions: tuple[float, float],
    seed: int,
) -> Split:
    """Assign every readable image (those with a hash) to train, validation or test.

    `fractions` are (validation, test): test of all images, validation of those that are left. A given
    test/ or val/ folder is used whole and nothing else is added to it. Each class gives at least one
    image to each subset. Raises DatasetError, naming the class, where that is impossible.
    """
    subsets: list[str] = ["skipped" if digest is None else "" for digest in hashes]
    given = set(found.subsets) - {"all", "train"}
    for label_number, label in enumerate(found.labels):
        pool = []
        for i, (_, of_label, subset) in enumerate(images):
            if of_label != label or subsets[i] == "skipped":
                continue
            if subset in given:
                subsets[i] = subset
            else:
                pool.append(i)
        order = np.random.default_rng([seed, label_number]).permutation(len(pool))
        shares = _shares(label, len(pool), given, fractions)
        names = [name for name, count in zip(SUBSETS, shares, strict=True) for _ in range(count)]
        for place, name in zip(order, names, strict=True):
            subsets[pool[place]] = name
    rows = tuple(
        SplitImage(path.relative_to(found.root).as_posix(), digest, label, subset)
        for (path, label, _), digest, subset in zip(images, hashes, subsets, strict=True)
        if digest is not None
    )
    if not any(row.subset == "validation" for row in rows):
        raise DatasetError(f"{found.root} has a folder for validation, and no readable images in it")
    return Split(root_as_given, found.labels, rows, tuple(skipped))


def _shares(label: str, count: int, given: set[str], fractions: tuple[float, float]) -> tuple[int, int, int]:
    """Return how many of a class's `count` images go to train, validation and test."""
    validation, test = (
        0.0 if name in given else fraction
        for name, fraction in zip(("validation", "test"), fractions, strict=True)
    )
    needed = 1 + (validation > 0) + (test > 0)
    if count < needed:
        raise DatasetError(
            f"Class {label!r} has {count} readable image{'' if count == 1 else 's'} to split, and needs at "
            f"least {needed}. Add images, remove the class's folder, or change --test-split"
        )
    in_test = max(1, round(count * test)) if test else 0
    in_validation = max(1, round((count - in_test) * validation)) if validation else 0
    in_test = min(in_test, count - 1 - (validation > 0))
    in_validation = min(in_validation, count - 1 - in_test)
    return count - in_test - in_validation, in_validation, in_test
