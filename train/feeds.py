"""What Keras is fed: rows of pixels or of cached activations, in an order that only seed and epoch decide."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from .examples import Table
from .mixing import Mixer

Order = Callable[[int], NDArray[np.int64]]


class Feed(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of (inputs, one-hot classes float32, weights if there are any)."""

    def __init__(
        self,
        table: Table,
        classes: int,
        batch_size: int,
        weights: NDArray[np.float32] | None = None,
        order: Order | None = None,
        epoch: int = 0,
        mixer: Mixer | None = None,
    ) -> None:
        """Take a weight for each class, and which images an epoch has in which order (default: all)."""
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
        labels = self._one_hot[self._table.truth[self._order[part]]]
        if self._mixer is not None:
            values, labels = self._mixer(values, labels, self._epoch, number)
        return (values, labels) if self._weights is None else (values, labels, labels @ self._weights)

    def on_epoch_end(self) -> None:
        """Go on to the next epoch's order, and to each image's next view."""
        self._epoch += 1
        self._begin()

    def _begin(self) -> None:
        self._order = self._draw(self._epoch)
        times = np.bincount(self._order, minlength=len(self._table.truth))[self._order]
        turn = self._epoch * times + occurrences(self._order)
        self._places = self._table.place[turn % self._table.views[self._order], self._order]


def occurrences(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each element how often it came before: [3, 5, 3, 3] gives [0, 0, 1, 2]."""
    by_value = np.argsort(order, kind="stable")
    ranked = order[by_value]
    first = np.searchsorted(ranked, ranked)
    result = np.empty(len(order), np.int64)
    result[by_value] = np.arange(len(order)) - first
    return result
