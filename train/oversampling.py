"""More views of the images of small classes, stronger augmented, for when they are drawn again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .examples import Examples, Table
from .strong_augmentation import strong_views

MOST_VIEWS = 8
_MOST_MADE = 1_000  # Each takes 40 ms at 96 pixels.


@dataclass(frozen=True)
class _Stacked:
    """Two arrays that are read as one, by rows, without copying the first, which may be a memory map."""

    first: NDArray[Any]
    second: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.first) + len(self.second), *self.first.shape[1:])

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        late = rows >= len(self.first)
        result = np.empty((len(rows), *self.first.shape[1:]), self.first.dtype)
        result[~late] = self.first[rows[~late]]
        result[late] = self.second[rows[late] - len(self.first)]
        return result


def extra_views(truth: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return how many views each image should have: as often as it is drawn, 1 to MOST_VIEWS, int64 [images].

    All extra views together are bounded, since making them takes time; the smallest classes come first.
    """
    counts = np.bincount(truth, minlength=classes)
    views = np.clip(-(-counts.max() // np.maximum(counts, 1)), 1, MOST_VIEWS)
    left = _MOST_MADE
    for label in np.argsort(counts, kind="stable"):
        affordable = 1 + left // max(int(counts[label]), 1)
        views[label] = min(views[label], affordable)
        left -= (views[label] - 1) * counts[label]
    return np.asarray(views[truth], np.int64)


def with_strong_views(examples: Examples, classes: int, seed: int) -> Table:
    """Return the images with stronger augmented views of those in small classes after the image itself."""
    views = extra_views(examples.truth, classes)
    place = np.full((int(views.max()), len(views)), -1, np.int64)
    place[0] = examples.rows
    made, start = [], len(examples.pixels)
    for view in range(1, len(place)):
        rows = np.flatnonzero(views > view)
        made.append(strong_views(examples.pixels[examples.rows[rows]], seed, view))
        place[view, rows] = np.arange(start, start + len(rows))
        start += len(rows)
    if not made:
        return Table.of_pixels(examples)
    stacked: Any = _Stacked(examples.pixels, np.concatenate(made))
    return Table(stacked, place, views, examples.truth)
