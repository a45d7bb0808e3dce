"""Finds pictures that look alike: pairs of perceptual hashes that differ in few bits, and their groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HASH_BITS = 64
_BLOCK = 1 << 21  # Comparisons at a time: about 40 MB.
_HELD_PAIRS = 1_000_000


def close_pairs(hashes: NDArray[np.uint64], distance: int) -> Iterator[NDArray[np.int64]]:
    """Yield arrays [pairs, 2] of the indices of all hashes that differ in at most `distance` bits.

    `hashes` is [images]. Every such pair is found, some more than once. Two hashes that differ in d bits
    have at least one of d + 1 bands of bits in common (multi-index hashing: Norouzi, Punjani and Fleet,
    CVPR 2012), so only hashes that share a band are compared. If most hashes share their bands, so that this
    would be more work, all are compared with all. Raises ValueError for hashes that are not unique, because
    the number of equal pairs could be very large.
    """
    if len(np.unique(hashes)) != len(hashes):
        raise ValueError("close_pairs needs unique hashes")
    buckets = list(_buckets(hashes, distance + 1))
    if sum(len(bucket) ** 2 for bucket in buckets) > len(hashes) ** 2:
        buckets = [np.arange(len(hashes))]
    for bucket in buckets:
        rows = max(1, _BLOCK // len(bucket))
        for start in range(0, len(bucket), rows):
            part = bucket[start : start + rows]
            differing = np.bitwise_count(hashes[part][:, None] ^ hashes[bucket])
            first, second = np.nonzero(differing <= distance)
            once = first + start < second
            if once.any():
                yield np.stack([part[first[once]], bucket[second[once]]], axis=1)


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


def _buckets(hashes: NDArray[np.uint64], bands: int) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of hashes that agree in a band of bits, for every band."""
    edges = [HASH_BITS * number // bands for number in range(bands + 1)]
    for low, high in pairwise(edges):
        band = (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.diff(band[order])) + 1
        yield from (bucket for bucket in np.split(order, starts) if len(bucket) > 1)
