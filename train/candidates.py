"""Finds pairs of pictures that may show the same, one of them perhaps mirrored or a part of the other.

All pictures are compared with all by their lowest frequencies; a mirrored picture differs from its original
in the sign of the odd ones alone. What is alike is compared again, allowing for a small shift and another
scale. The time grows with the square of the number of pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from .thumbnails import COLOUR_SIDE, SIDE, Thumbnails, gaussian_matrix

MIDDLE = (
    0.87  # The side of the middle that stands for all parts of a picture: it is near any part of 0.8 to 1.
)
_FREQUENCIES = 6
_COLOUR_FREQUENCIES = 3
_LEAST_LIKENESS = 0.72
_LEAST_LIKENESS_MOVED = 0.8
_LARGEST_CHANGES = (25.0, 14.0, 14.0)  # Of the means of luma, Cb and Cr.
_MOST_ALIKE = 128  # Pictures that are compared with one picture in the second step,
_MOST_FOUND = 8  # and candidates for it. Where all pictures look alike, the nearest count.
_ROWS, _COLUMNS = 512, 4096

Numbers = NDArray[np.int64]
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Candidates:
    """Pairs that may show the same; all arrays are [pairs].

    Attributes:
        first: the number of a picture.
        second: the number of the other.
        mirrored: whether the second is to be mirrored.
        scale: the side of the second that the first shows, about: 1, less, or more than 1.
        likeness: how alike they are, at most 1.
    """

    first: Numbers
    second: Numbers
    mirrored: NDArray[np.bool_]
    scale: Vectors
    likeness: Vectors

    def __getitem__(self, rows: NDArray[np.bool_] | Numbers) -> Candidates:
        """Return some of the pairs."""
        return Candidates(*(getattr(self, field.name)[rows] for field in fields(self)))

    @staticmethod
    def none() -> Candidates:
        """Return no pairs."""
        none = np.zeros(0, np.int64)
        return Candidates(none, none, none > 0, none.astype(np.float32), none.astype(np.float32))

    @staticmethod
    def join(parts: Sequence[Candidates]) -> Candidates:
        """Return the pairs of all parts, of which there is at least one."""
        return Candidates(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Candidates)))


@dataclass(frozen=True)
class _View:
    """What is compared of whole pictures, or of their middles.

    `even` and `odd` are [pictures, ...], the lowest frequencies of luma and chroma by whether mirroring keeps
    their sign: together of length 1. `luma` is [pictures, 36], the frequencies of luma alone, of length 1,
    and `changes` [pictures, 4, 36] is how they change when the picture is shifted or scaled, across and down.
    """

    even: Vectors
    odd: Vectors
    luma: Vectors
    changes: Vectors


class CandidateSearch:
    """Compares all pictures with all, block by block; several threads may each ask for a block."""

    def __init__(self, pictures: Thumbnails) -> None:
        """Prepare the comparison: memory holds about 2 KB for each picture."""
        means = np.column_stack([pictures.grey.mean((1, 2)), pictures.colour.mean((2, 3))])
        self._order = np.argsort(means[:, 0], kind="stable")  # Only pictures about as bright are compared.
        self._means = means[self._order].astype(np.float32)
        ordered = Thumbnails(pictures.grey[self._order], pictures.colour[self._order])
        self._whole, self._middle = _make_view(ordered, 1.0), _make_view(ordered, MIDDLE)

    @property
    def blocks(self) -> range:
        """The names of the blocks: in each, some pictures are compared with all."""
        return range(0, len(self._order), _ROWS)

    def find(self, block: int) -> Candidates:
        """Return the pairs of a block; no pair is in two blocks.

        A picture is compared with others, and its middle too, so that a part of another picture is found.
        """
        rows = slice(block, block + _ROWS)
        brightest = self._means[rows][-1, 0] + _LARGEST_CHANGES[0]
        end = int(np.searchsorted(self._means[:, 0], brightest, "right"))
        whole, middle = self._whole, self._middle
        found = []
        for a, b, scale in ((whole, whole, 1.0), (middle, whole, 1 / MIDDLE), (whole, middle, MIDDLE)):
            alike = []
            for start in range(block, end, _COLUMNS):
                some = _compare(a, b, rows, slice(start, min(start + _COLUMNS, end)), scale)
                change = np.abs(self._means[some.first] - self._means[some.second])
                alike.append(some[(change <= _LARGEST_CHANGES).all(1)])
            found.append(_compare_moved(a, b, _nearest(Candidates.join(alike), _MOST_ALIKE)))
        best = _nearest(Candidates.join(found), _MOST_FOUND)
        return replace(best, first=self._order[best.first], second=self._order[best.second])


def _compare(a: _View, b: _View, rows: slice, columns: slice, scale: float) -> Candidates:
    """Return the pairs of a row and a later column that are alike."""
    even, odd = a.even[rows] @ b.even[columns].T, a.odd[rows] @ b.odd[columns].T
    likeness = np.abs(odd)
    likeness += even
    least = _LEAST_LIKENESS
    if np.count_nonzero(likeness > least) > _MOST_ALIKE * len(likeness):  # Of each row, only the nearest.
        ranked = np.partition(likeness, -_MOST_ALIKE, axis=1)[:, -_MOST_ALIKE, None]
        likeness[likeness < ranked] = -1
    places = np.flatnonzero(likeness > least)
    row, column = np.divmod(places, likeness.shape[1])
    first, second = row + rows.start, column + columns.start
    found = Candidates(
        first,
        second,
        odd.ravel()[places] < 0,
        np.full(len(places), scale, np.float32),
        likeness.ravel()[places],
    )
    return found[first < second]


def _compare_moved(a: _View, b: _View, pairs: Candidates) -> Candidates:
    """Return the pairs that are alike where the one may be shifted and scaled a little, across and down.

    The changes are linear, the means of both pictures' (tangent distance: Simard, LeCun and Denker, 1992).
    """
    likeness = np.empty(len(pairs.first), np.float32)
    for start in range(0, len(likeness), _ROWS):
        some = slice(start, start + _ROWS)
        first, second, mirrored = pairs.first[some], pairs.second[some], pairs.mirrored[some]
        sign = np.where(mirrored[:, None], _MIRRORED, np.float32(1))
        sign_of_changes = np.where(mirrored[:, None], _MIRRORED_CHANGES, np.float32(1))
        changes = (b.changes[second] * sign[:, None] * sign_of_changes[..., None] + a.changes[first]) / 2
        left = b.luma[second] * sign - a.luma[first]
        matrix = changes @ changes.transpose(0, 2, 1)
        damping = np.einsum("nii->n", matrix) * np.float32(1e-4) + np.float32(1e-9)
        matrix += damping[:, None, None] * np.eye(4, dtype=np.float32)
        right = changes @ left[..., None]
        step = np.linalg.solve(matrix, right)
        likeness[some] = 1 - ((left**2).sum(1) - (step * right).sum((1, 2))) / 2
    return replace(pairs, likeness=likeness)[likeness > _LEAST_LIKENESS_MOVED]


def _nearest(pairs: Candidates, most: int) -> Candidates:
    """Return each pair once, at its best, and of each first picture the `most` pairs that are most alike."""
    pairs = pairs[np.lexsort((-pairs.likeness, pairs.second, pairs.first))]
    pairs = pairs[_places_in_run(pairs.first, pairs.second) == 0]
    pairs = pairs[np.lexsort((-pairs.likeness, pairs.first))]
    return pairs[_places_in_run(pairs.first) < most]


def _places_in_run(*keys: Numbers) -> Numbers:
    """Return [rows]: how many rows directly before each one have equal keys."""
    changed = np.ones(len(keys[0]), bool)
    changed[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    starts = np.flatnonzero(changed)
    places: Numbers = np.arange(len(changed)) - starts[np.cumsum(changed) - 1]
    return places


def _make_view(pictures: Thumbnails, part: float) -> _View:
    """Return the view of the middle `part` of each picture's sides."""
    luma_maps, chroma_map = _luma_maps(part), _chroma_map(part)
    starts = range(0, len(pictures), _COLUMNS)
    views = [_look(_slice(pictures, start, start + _COLUMNS), luma_maps, chroma_map) for start in starts]
    return _View(*(np.concatenate([getattr(view, field.name) for view in views]) for field in fields(_View)))


def _slice(pictures: Thumbnails, start: int, end: int) -> Thumbnails:
    return Thumbnails(pictures.grey[start:end], pictures.colour[start:end])


def _look(pictures: Thumbnails, luma_maps: Sequence[Vectors], chroma_map: Vectors) -> _View:
    rows = pictures.grey.reshape(len(pictures), -1).astype(np.float32)
    luma, *changes = (rows @ values.T for values in luma_maps)
    chroma = pictures.colour.reshape(len(pictures), 2, -1).astype(np.float32)
    colours = (chroma @ chroma_map.T).transpose(0, 2, 1).reshape(len(pictures), -1)
    size = np.maximum(np.linalg.norm(luma, axis=1, keepdims=True), np.float32(1e-3))
    both = np.hstack([luma, colours])
    both /= np.maximum(np.linalg.norm(both, axis=1, keepdims=True), np.float32(1e-3))
    odd = np.concatenate([_odd(_FREQUENCIES), np.repeat(_odd(_COLOUR_FREQUENCIES), 2)])
    return _View(both[:, ~odd], both[:, odd], luma / size, np.stack(changes, axis=1) / size[..., None])


def _luma_maps(part: float) -> list[Vectors]:
    """Return five matrices [36, 1024]: from a thumbnail to frequencies, and to how they change.

    High frequencies of photos are weak: each is multiplied by its root. The mean does not count.
    """
    u = (np.arange(SIDE) - (SIDE - 1) / 2) / (SIDE / 2)
    window = _window(SIDE, part)
    smooth = gaussian_matrix(SIDE, 1.0)
    slope = np.gradient(np.eye(SIDE), axis=0) @ smooth
    plain, smoothed = (
        _transform(SIDE, _FREQUENCIES) @ window,
        _transform(SIDE, _FREQUENCIES) @ window @ smooth,
    )
    sloped = _transform(SIDE, _FREQUENCIES) @ window @ slope
    spread = _transform(SIDE, _FREQUENCIES) @ np.diag(u) @ window @ slope
    number = np.arange(_FREQUENCIES)
    weights = np.sqrt(np.hypot(number[:, None], number)).reshape(-1, 1)  # 0 for the mean.
    pairs = ((plain, plain), (smoothed, sloped), (sloped, smoothed), (smoothed, spread), (spread, smoothed))
    return [(np.kron(down, across) * weights).astype(np.float32) for down, across in pairs]


def _chroma_map(part: float) -> Vectors:
    """Return the matrix [9, 256] from a thumbnail's chroma to its lowest frequencies, on luma's scale."""
    plain = _transform(COLOUR_SIDE, _COLOUR_FREQUENCIES) @ _window(COLOUR_SIDE, part)
    both = np.kron(plain, plain) * (SIDE / COLOUR_SIDE)
    both[0] = 0  # The mean does not count.
    return both.astype(np.float32)


def _transform(side: int, frequencies: int) -> NDArray[np.float64]:
    """Return the matrix [frequencies, side] of the lowest frequencies of the discrete cosine transform."""
    return np.asarray(dct(np.eye(side), axis=0, norm="ortho")[:frequencies], np.float64)


def _window(side: int, part: float) -> NDArray[np.float64]:
    """Return the matrix [side, side] that enlarges the middle `part` by linear interpolation."""
    places = (np.arange(side) - (side - 1) / 2) * part + (side - 1) / 2
    weights: NDArray[np.float64] = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(side)))
    return weights


def _odd(frequencies: int) -> NDArray[np.bool_]:
    """Return whether mirroring changes the sign of each of frequencies x frequencies."""
    return np.tile(np.arange(frequencies) % 2 == 1, frequencies)


_MIRRORED = np.where(_odd(_FREQUENCIES), -1, 1).astype(np.float32)
_MIRRORED_CHANGES = np.array([-1, 1, 1, 1], np.float32)  # A shift across goes the other way.
