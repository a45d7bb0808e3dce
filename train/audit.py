"""Finds the faults of a data set before a training, from facts about its files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ..edge.sources.paths import natural_key
from .findings import LEAST_SIDE, Audit, AuditedImage, Leak, MirrorImages, Remark, TwinGroup
from .image_facts import ImageFacts
from .near_duplicates import connect, find_pairs
from .thumbnails import read_thumbnails

_BLANK_CONTRAST = 2.0
_LEAST_COMPARED_SIDE = 16
_SUFFIXES = {
    "AVIF": (".avif", ".avifs"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "HEIF": (".heic", ".heics", ".heif", ".heifs", ".hif"),
    "JPEG": (".jpg", ".jpeg", ".jfif", ".jpe", ".mpo"),
    "PNG": (".png", ".apng"),
    "PPM": (".pbm", ".pgm", ".pnm", ".ppm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
_KEPT_APART = ("train", "validation", "test")  # An image must not have a twin in an earlier subset.


def audit_images(
    facts: Sequence[ImageFacts], labels: Sequence[str], subsets: Sequence[str], near_duplicates: bool = True
) -> Audit:
    """Return the faults of images with the given `labels` and `subsets` ("all" without subset folders).

    No file is opened. Twins are files with the same bytes, and near-duplicates: pictures that show the same,
    though saved again, resized, cropped or mirrored (`near_duplicates.find_pairs`). Groups of twins are
    closed: a twin's twin is a twin. Blank pictures, and those of less than 16 pixels a side, are compared by
    their bytes alone, because they show too little. Pictures with few forms in low contrast are twins only if
    they agree as well as others.

    A mirrored picture with the same label is a twin: mirroring is a usual augmentation, so a model that was
    trained on one has seen the other. One with another label is no contradiction, because mirroring may be
    what makes the difference between the classes (left and right arrows). Such images are listed apart, and
    share a subset with each other: whether or not mirroring changes the class, they show the same place in
    the same light, and a model could recognise that. They are not left out of training.

    `near_duplicates=False` compares only bytes, for pictures that look alike by their nature, such as
    parts in front of a fixed camera.
    """
    rows = [
        AuditedImage(fact.path, label, subset)
        for fact, label, subset in zip(facts, labels, subsets, strict=True)
    ]
    twins = _find_pairs(facts, rows, near_duplicates)
    return Audit(
        images=len(facts),
        classes=_count(facts, rows),
        unreadable=_remarks(facts, rows, lambda fact: fact.reason),
        leaks=tuple(_find_leaks(facts, rows, twins)),
        twins=tuple(_find_twins(facts, rows, twins)),
        mirrored=tuple(_find_mirrored(rows, twins)),
        misnamed=_remarks(facts, rows, _describe_misnamed),
        small=_remarks(facts, rows, _describe_small),
        blank=_remarks(facts, rows, _describe_blank),
        near_duplicates=near_duplicates,
        twin_groups=twins.same,
        groups=twins.together,
    )


@dataclass(frozen=True)
class _Twins:
    """Which images show the same.

    `same` and `together` are int64 [images]: equal numbers mean twins, and images that must share a subset.
    `mirrored` maps the numbers of two images, the smaller first, to whether they are mirror images; it holds
    only pairs that were compared, not twins of twins.
    """

    same: NDArray[np.int64]
    together: NDArray[np.int64]
    mirrored: Mapping[tuple[int, int], bool]


def _remarks(
    facts: Sequence[ImageFacts], rows: Sequence[AuditedImage], describe: Callable[[ImageFacts], str | None]
) -> tuple[Remark, ...]:
    """Return a remark for every file for which `describe` returns one."""
    return tuple(
        Remark(row.path, row.label, remark)
        for fact, row in zip(facts, rows, strict=True)
        if (remark := describe(fact)) is not None
    )


def _describe_misnamed(fact: ImageFacts) -> str | None:
    right = _SUFFIXES.get(fact.format or "")
    suffix = PurePosixPath(fact.path).suffix.lower()
    wrong = right is not None and suffix not in ("", *right)
    return f"is a {fact.format} file" if wrong else None


def _describe_small(fact: ImageFacts) -> str | None:
    small = fact.reason is None and min(fact.width, fact.height) < LEAST_SIDE
    return f"{fact.width} x {fact.height} pixels" if small else None


def _describe_blank(fact: ImageFacts) -> str | None:
    blank = fact.reason is None and fact.deviation < _BLANK_CONTRAST
    return f"its grey values deviate by {fact.deviation:.1f} of 255" if blank else None


def _count(facts: Sequence[ImageFacts], rows: Sequence[AuditedImage]) -> dict[str, dict[str, int]]:
    """Return the number of usable images by label and subset; 0 for a class that a subset lacks."""
    labels = sorted({row.label for row in rows}, key=lambda label: natural_key(Path(label)))
    subsets = sorted({row.subset for row in rows})
    counts = {label: dict.fromkeys(subsets, 0) for label in labels}
    for fact, row in zip(facts, rows, strict=True):
        counts[row.label][row.subset] += fact.reason is None
    return counts


def _find_pairs(facts: Sequence[ImageFacts], rows: Sequence[AuditedImage], near_duplicates: bool) -> _Twins:
    """Return which images show the same; an unreadable image shows nothing."""
    first: dict[str | None, int] = {}  # The first image of each content stands for its copies.
    copies = [
        (first[fact.sha256], i)
        for i, fact in enumerate(facts)
        if fact.reason is None and first.setdefault(fact.sha256, i) != i
    ]
    mirrored: dict[tuple[int, int], bool] = {}
    if near_duplicates:
        numbers = [i for i in first.values() if shows_something(facts[i])]
        sides = np.array([min(facts[i].width, facts[i].height) for i in numbers], np.int64)
        pairs = find_pairs(read_thumbnails([facts[i].thumbnail for i in numbers]), sides)
        for a, b, turned in zip(pairs.first, pairs.second, pairs.mirrored, strict=True):
            mirrored[min(numbers[a], numbers[b]), max(numbers[a], numbers[b])] = bool(turned)
    same = [
        pair for pair, turned in mirrored.items() if not turned or rows[pair[0]].label == rows[pair[1]].label
    ]
    return _Twins(
        connect(len(facts), [_as_array(copies), _as_array(same)]),
        connect(len(facts), [_as_array(copies), _as_array(list(mirrored))]),
        mirrored,
    )


def _as_array(pairs: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    return np.array(pairs, np.int64).reshape(-1, 2)


def shows_something(fact: ImageFacts) -> bool:
    """Return whether the picture has enough content to be compared."""
    return fact.deviation >= _BLANK_CONTRAST and min(fact.width, fact.height) >= _LEAST_COMPARED_SIDE


def _find_twins(
    facts: Sequence[ImageFacts], rows: Sequence[AuditedImage], twins: _Twins
) -> Iterable[TwinGroup]:
    """Yield groups of two or more: those of identical files, then those with different files."""
    readable = [i for i, fact in enumerate(facts) if fact.reason is None]
    for members in _gather((facts[i].sha256, i) for i in readable):
        yield TwinGroup(tuple(rows[i] for i in members), identical=True)
    turned = {
        int(twins.same[i])
        for (i, j), mirrored in twins.mirrored.items()
        if mirrored and twins.same[i] == twins.same[j]
    }
    for members in _gather((int(twins.same[i]), i) for i in readable):
        if len({facts[i].sha256 for i in members}) > 1:
            mirrored = int(twins.same[members[0]]) in turned
            yield TwinGroup(tuple(rows[i] for i in members), identical=False, mirrored=mirrored)


def _find_mirrored(rows: Sequence[AuditedImage], twins: _Twins) -> Iterable[MirrorImages]:
    """Yield the pairs of mirror images under two labels."""
    for (i, j), mirrored in sorted(twins.mirrored.items()):
        if mirrored and rows[i].label != rows[j].label:
            yield MirrorImages(rows[i], rows[j])


def _gather(items: Iterable[tuple[Hashable, int]]) -> list[list[int]]:
    """Return the numbers of every key that has two or more."""
    found = defaultdict(list)
    for key, number in items:
        found[key].append(number)
    return [numbers for numbers in found.values() if len(numbers) > 1]


def _find_leaks(facts: Sequence[ImageFacts], rows: Sequence[AuditedImage], twins: _Twins) -> list[Leak]:
    """Return the test, then the validation images that have a twin in an earlier subset."""

    def nearness(i: int, j: int) -> tuple[bool, bool, bool]:
        """Return a key that orders identical files first, then pairs that were compared, unmirrored ones."""
        pair = min(i, j), max(i, j)
        return facts[i].sha256 != facts[j].sha256, pair not in twins.mirrored, twins.mirrored.get(pair, False)

    leaks = []
    groups = _gather((int(twins.same[i]), i) for i, fact in enumerate(facts) if fact.reason is None)
    for rank in (2, 1):
        for members in groups:
            earlier = [i for i in members if rows[i].subset in _KEPT_APART[:rank]]
            for image in (i for i in members if earlier and rows[i].subset == _KEPT_APART[rank]):
                twin = min(earlier, key=lambda i: nearness(i, image))
                different, _, mirrored = nearness(twin, image)
                leaks.append(Leak(rows[image], rows[twin], not different, mirrored))
    return leaks
