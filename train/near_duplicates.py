"""Finds pictures that show the same, also mirrored, cropped, resized or saved again, and their groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from ..edge.cores import cores
from ..edge.progress import progress
from .agreement import (
    LARGEST_DIFFERENCE,
    LEAST_DETAILS,
    LEAST_EDGES,
    LEAST_GREY,
    LEAST_OVERLAP,
    colours_agree,
    compare,
    details_agree,
)
from .candidates import Candidates, CandidateSearch
from .registration import Pictures, centred, register
from .thumbnails import SIDE, Thumbnails, gaussian_matrix

# Pictures of far fewer pixels than their thumbnails have no details to compare.
_FEWEST_PIXELS = 0.8 * SIDE
_LARGEST_COARSE_DIFFERENCE = 1.0
RULE = {
    "correlation_of_grey_at_least": LEAST_GREY,
    "correlation_of_edges_at_least": LEAST_EDGES,
    "correlation_of_details_at_least": LEAST_DETAILS,
    "overlap_at_least": LEAST_OVERLAP,
    "difference_at_most": LARGEST_DIFFERENCE,
    "mirrored": True,
}
"""What audit.json says about how pictures were compared."""
_SMOOTHING = 0.7  # Pixels.
_COARSE_STEPS, _FINE_STEPS = 3, 3
_BLOCK = 512  # Pairs at a time.
_HELD_PAIRS = 1_000_000


@dataclass(frozen=True)
class Pairs:
    """Pairs of pictures that show the same; all arrays are [pairs].

    `first` and `second` are numbers of pictures; `mirrored`: the one is the other's mirror image.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    mirrored: NDArray[np.bool_]


def find_pairs(pictures: Thumbnails, sides: NDArray[np.int64]) -> Pairs:
    """Return pairs of pictures that show the same; `sides` [pictures] are their shorter sides in pixels.

    Of many pictures that all look alike, each is compared with the 8 nearest only. Two pictures of a pair
    were laid over each other, and then differ nowhere by more than saving, resizing and the laying explain.
    All processors are used.
    """
    if not len(pictures):
        none = np.zeros(0, np.int64)
        return Pairs(none, none, np.zeros(0, np.bool_))
    search = CandidateSearch(pictures)

    def find(block: int) -> Candidates:
        found, parts = search.find(block), [Candidates.none()]
        for start in range(0, len(found.first), _BLOCK):
            some = found[np.arange(start, min(start + _BLOCK, len(found.first)))]
            shorter = np.minimum(sides[some.first], sides[some.second])
            parts.append(some[_show_the_same(pictures, shorter, some)])
        return Candidates.join(parts)

    with (
        threadpool_limits(1, "blas"),  # Each block has a processor to itself.
        ThreadPoolExecutor(cores()) as pool,
        progress("comparing images", len(search.blocks), "blocks") as advance,
    ):
        parts = [Candidates.none()]
        for part in pool.map(find, search.blocks):
            parts.append(part)
            advance(1)
    pairs = Candidates.join(parts)
    return Pairs(pairs.first, pairs.second, pairs.mirrored)


def _show_the_same(pictures: Thumbnails, sides: NDArray[np.int64], pairs: Candidates) -> NDArray[np.bool_]:
    """Return whether the pictures of each pair show the same, from their pixels."""
    a, b = _smooth(pictures.grey[pairs.first]), _smooth(_turn(pictures.grey[pairs.second], pairs.mirrored))
    coarse_a, coarse_b = _halve(a), _halve(b)
    start = centred(len(a))
    start[:, 1::2] = pairs.scale[:, None]
    placement = register(coarse_a, coarse_b, start, _COARSE_STEPS)
    coarse = compare(coarse_a, coarse_b, placement)
    small = sides < _FEWEST_PIXELS
    same = coarse.good & (~small | (coarse.difference <= _LARGEST_COARSE_DIFFERENCE))
    fine = np.flatnonzero(same & ~small)
    placement[fine] = register(a[fine], b[fine], placement[fine], _FINE_STEPS)
    same[fine] = compare(a[fine], b[fine], placement[fine]).good
    for channel in range(pictures.colour.shape[1]):
        left = np.flatnonzero(same)
        of_first = pictures.colour[pairs.first[left], channel]
        of_second = _turn(pictures.colour[pairs.second[left], channel], pairs.mirrored[left])
        x, y = of_first.astype(np.float32), of_second.astype(np.float32)
        same[left] = colours_agree(x, y, placement[left], sides[left])
    for of_size, x, y in ((~small, a, b), (small, coarse_a, coarse_b)):
        left = np.flatnonzero(same & of_size)
        same[left] = details_agree(x[left], y[left], placement[left])
    return same


def _turn(pictures: NDArray[np.uint8], mirrored: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.where(mirrored[:, None, None], pictures[:, :, ::-1], pictures)


def _smooth(pictures: NDArray[np.uint8]) -> Pictures:
    smooth = gaussian_matrix(SIDE, _SMOOTHING)
    return smooth @ pictures.astype(np.float32) @ smooth.T


def _halve(pictures: Pictures) -> Pictures:
    pairs, side, _ = pictures.shape
    halved: Pictures = pictures.reshape(pairs, side // 2, 2, side // 2, 2).mean((2, 4))
    return halved


def connect(count: int, pairs: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return [count], a number for each item: equal for two items if pairs lead from one to the other.

    `pairs` are arrays [pairs, 2] of indices below `count`; memory holds about a million pairs at a time.
    The numbers are 0, 1, 2 and so on, in order of first use.
    """
    numbers = np.arange(count)
    for some in _gather(pairs):
        first, second = numbers[some].T
        graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(count, count))
        numbers = connected_components(graph, directed=False)[1][numbers]
    _, first_seen, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first_seen))[inverse].astype(np.int64)


def _gather(arrays: Iterable[NDArray[np.int64]]) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of many small arrays as few large ones."""
    held: list[NDArray[np.int64]] = []
    rows = 0
    for array in arrays:
        held.append(array)
        rows += len(array)
        if rows > _HELD_PAIRS:
            yield np.concatenate(held)
            held, rows = [], 0
    if held:
        yield np.concatenate(held)
