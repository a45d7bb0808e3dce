"""Images without labels, of which a model learns what a teacher answers: none that it is measured on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..edge.card import Preprocess
from ..edge.console import say
from ..edge.errors import DatasetError
from ..edge.labelled import Pictures, readable
from .audit import shows_something
from .cache import Cache
from .dataset import PreparedData
from .image_facts import ImageFacts
from .near_duplicates import find_pairs
from .pixels import decode_images
from .thumbnails import read_thumbnails

_NAMED = 3


@dataclass(frozen=True)
class Unlabelled:
    """Images without labels: `pixels[side]`, uint8 [images, side, side, 3], and a hash of their files."""

    pixels: Mapping[int, NDArray[np.uint8]]
    sha256: str

    def __len__(self) -> int:
        """Return the number of images."""
        return len(next(iter(self.pixels.values())))


@dataclass(frozen=True)
class _Twins:
    """Which of some pictures show what a data set shows: numbers of both, int64 [pairs]."""

    ours: NDArray[np.int64]
    theirs: NDArray[np.int64]


def read_unlabelled(
    folder: Path, data: PreparedData, sides: set[int], resize: str, near_duplicates: bool, cache: Cache
) -> Unlabelled:
    """Read all pictures below `folder`, decoded to `sides`; those that cannot be read are named and left out.

    Left out are also those that show what a training or a validation image shows: by equal bytes, or where
    `near_duplicates` says so, by their looks. Raises DatasetError for a folder that is none, that holds no
    pictures, or whose pictures show what an image shows by which the model is measured.
    """
    with readable(folder):
        paths = Pictures(folder).below(folder)
    decoded = decode_images(folder, paths, sides, Preprocess(resize), cache)
    for fact in decoded.facts:
        if fact.reason is not None:
            say(f"skipped {folder / fact.path}: {fact.reason}")
    usable = [number for number, fact in enumerate(decoded.facts) if fact.reason is None]
    if not usable:
        found = f"none of its {len(paths)} pictures can be read" if paths else "it holds no pictures"
        raise DatasetError(
            f"--unlabelled {folder}: {found}. Give the folder that edge-classify --collect has filled, or "
            "another one of photos"
        )
    facts = [decoded.facts[number] for number in usable]
    twins = _find_twins(facts, data.facts, near_duplicates)
    _refuse_measured(folder, facts, data, twins)
    new = np.setdiff1d(np.arange(len(facts)), twins.ours)
    if len(new) < len(facts):
        say(f"Unlabelled images that show what a labelled one shows, left out: {len(facts) - len(new):,}")
    if not len(new):
        raise DatasetError(
            f"--unlabelled {folder}: all of its {len(facts)} pictures show what labelled ones show. Collect "
            "others, or leave --unlabelled out"
        )
    rows = np.array(usable, np.int64)[new]
    say(f"Unlabelled images: {len(rows):,} from {folder}")
    return Unlabelled(
        {side: pixels[rows] for side, pixels in decoded.pixels.items()},
        hashlib.sha256(" ".join(str(facts[number].sha256) for number in new.tolist()).encode()).hexdigest(),
    )


def _find_twins(ours: Sequence[ImageFacts], theirs: Sequence[ImageFacts], near_duplicates: bool) -> _Twins:
    """Return which of our pictures have the bytes of one of theirs, or show the same, also mirrored."""
    place = {fact.sha256: number for number, fact in enumerate(theirs) if fact.reason is None}
    equal = [(number, place[fact.sha256]) for number, fact in enumerate(ours) if fact.sha256 in place]
    pairs = np.array(equal, np.int64).reshape(-1, 2)
    if near_duplicates:
        own, other = _compared(ours), _compared(theirs)
        facts = [*(ours[n] for n in own), *(theirs[n] for n in other)]
        sides = np.array([min(fact.width, fact.height) for fact in facts], np.int64)
        found = find_pairs(read_thumbnails([fact.thumbnail for fact in facts]), sides)
        first, second = np.minimum(found.first, found.second), np.maximum(found.first, found.second)
        across = (first < len(own)) & (second >= len(own))
        alike = np.stack([own[first[across]], other[second[across] - len(own)]], axis=1)
        pairs = np.concatenate([pairs, alike])
    return _Twins(pairs[:, 0], pairs[:, 1])


def _compared(facts: Sequence[ImageFacts]) -> NDArray[np.int64]:
    """Return the numbers of the pictures that have enough content to be compared."""
    return np.array(
        [n for n, fact in enumerate(facts) if fact.reason is None and shows_something(fact)], np.int64
    )


def _refuse_measured(folder: Path, facts: Sequence[ImageFacts], data: PreparedData, twins: _Twins) -> None:
    """Raise DatasetError where a picture shows what an image shows by which the model is measured."""
    subset = data.split.evaluation_subset
    measured = np.isin(twins.theirs, data.rows[subset])
    numbers, first = np.unique(twins.ours[measured], return_index=True)
    if not len(numbers):
        return
    shown = twins.theirs[measured][first]
    named = [
        f"{facts[number].path} ({data.paths[row]})"
        for number, row in zip(numbers[:_NAMED].tolist(), shown[:_NAMED].tolist(), strict=True)
    ]
    raise DatasetError(
        f"--unlabelled {folder}: {len(numbers)} of its pictures show what {subset} images show, such as "
        f"{', '.join(named)}: the model would be measured on what it has learned. Take them out, or give a "
        "folder of other photos"
    )
