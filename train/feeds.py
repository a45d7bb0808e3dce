"""The batches that Keras gets: pixels or cached activations, in an order that seed and epoch decide."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from .augmentation import Mixer, strong_views
from .dataset import Examples

MOST_VIEWS = 8
_MOST_MADE = 1_000  # Each takes 40 ms at 96 pixels.

Order = Callable[[int], NDArray[np.int64]]
"""From the number of an epoch to its images, int64 [images of the epoch]."""


@dataclass(frozen=True)
class ExampleTable:
    """One or more views of each image, `values[place[view, image]]`; `views[image]` is their number.

    `values` are pixels or activations, perhaps a memory map; `truth` is int64 [images]. `targets` are what is
    learned about each view in place of `truth`: probabilities, float32 [views, images, classes].
    """

    values: NDArray[Any]
    place: NDArray[np.int64]
    views: NDArray[np.int64]
    truth: NDArray[np.int64]
    targets: NDArray[np.float32] | None = None

    @classmethod
    def of_pixels(cls, examples: Examples) -> ExampleTable:
        """Return the unchanged images, one view of each."""
        return cls(examples.pixels, examples.rows[None], np.ones_like(examples.rows), examples.truth)


class Feed(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of (inputs, one-hot classes or targets float32, weights if there are any)."""

    def __init__(
        self,
        table: ExampleTable,
        classes: int,
        batch_size: int,
        weights: NDArray[np.float32] | None = None,
        order: Order | None = None,
        epoch: int = 0,
        mixer: Mixer | None = None,
    ) -> None:
        """Take a weight for each class, and the order of the images in an epoch (default: all in turn)."""
        super().__init__()
        self._table, self._batch_size, self._weights, self._mixer = table, batch_size, weights, mixer
        self._one_hot = np.eye(classes, dtype=np.float32)
        self._epoch, self._draw = epoch, order or (lambda _: np.arange(len(table.truth)))
        self._begin()

    def __len__(self) -> int:
        """Return the number of batches; the last may be smaller."""
        return math.ceil(len(self._order) / self._batch_size)

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        """Return the batch `number` of this epoch."""
        part = slice(number * self._batch_size, (number + 1) * self._batch_size)
        values = self._table.values[self._places[part]]
        labels = self._labels(part)
        if self._mixer is not None:
            values, labels = self._mixer(values, labels, self._epoch, number)
        return (values, labels) if self._weights is None else (values, labels, labels @ self._weights)

    def on_epoch_end(self) -> None:
        """Use the next order of the images, and the next view of each image."""
        self._epoch += 1
        self._begin()

    def _labels(self, part: slice) -> NDArray[np.float32]:
        targets, order = self._table.targets, self._order[part]
        return (
            self._one_hot[self._table.truth[order]] if targets is None else targets[self._view[part], order]
        )

    def _begin(self) -> None:
        self._order = self._draw(self._epoch)
        times = np.bincount(self._order, minlength=len(self._table.truth))[self._order]
        turn = self._epoch * times + occurrences(self._order)
        self._view = turn % self._table.views[self._order]
        self._places = self._table.place[self._view, self._order]


def occurrences(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how often each element occurs before its place: [3, 5, 3, 3] gives [0, 0, 1, 2]."""
    by_value = np.argsort(order, kind="stable")
    ranked = order[by_value]
    first = np.searchsorted(ranked, ranked)
    result = np.empty(len(order), np.int64)
    result[by_value] = np.arange(len(order)) - first
    return result


@dataclass(frozen=True)
class Stacked:
    """Two arrays that are read as one, by rows, without a copy of either: both may be memory maps."""

    first: NDArray[Any]
    second: NDArray[Any]

    def __len__(self) -> int:
        """Return the number of rows of both."""
        return len(self.first) + len(self.second)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array that they are read as."""
        return (len(self), *self.second.shape[1:])

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        late = rows >= len(self.first)
        result = np.empty((len(rows), *self.second.shape[1:]), self.second.dtype)
        result[~late] = self.first[rows[~late]]
        result[late] = self.second[rows[late] - len(self.first)]
        return result


def extra_views(truth: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return the number of views of each image, int64 [images]: as often as it is drawn, 1 to MOST_VIEWS.

    The total of extra views is bounded, because making them takes time; the smallest classes come first.
    """
    counts = np.bincount(truth, minlength=classes)
    views = np.clip(-(-counts.max() // np.maximum(counts, 1)), 1, MOST_VIEWS)
    left = _MOST_MADE
    for label in np.argsort(counts, kind="stable"):
        affordable = 1 + left // max(int(counts[label]), 1)
        views[label] = min(views[label], affordable)
        left -= (views[label] - 1) * counts[label]
    return np.asarray(views[truth], np.int64)


def with_strong_views(examples: Examples, classes: int, rotation: bool, seed: int) -> ExampleTable:
    """Return the images; those of small classes have stronger augmented views too, after the image itself.

    Without `rotation` these views are not turned.
    """
    views = extra_views(examples.truth, classes)
    place = np.full((int(views.max()), len(views)), -1, np.int64)
    place[0] = examples.rows
    made, start = [], len(examples.pixels)
    for view in range(1, len(place)):
        rows = np.flatnonzero(views > view)
        made.append(strong_views(examples.pixels[examples.rows[rows]], rotation, seed, view))
        place[view, rows] = np.arange(start, start + len(rows))
        start += len(rows)
    if not made:
        return ExampleTable.of_pixels(examples)
    stacked: Any = Stacked(examples.pixels, np.concatenate(made))
    return ExampleTable(stacked, place, views, examples.truth)
