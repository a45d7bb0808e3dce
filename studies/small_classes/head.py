"""A linear head, trained as edge-train trains one, in NumPy: a hundred times as quick to start as Keras."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from studies.small_classes.features import RECIPE

_MOMENTS = (0.9, 0.999)  # These and epsilon are the defaults of Keras's AdamW.
_EPSILON = 1e-7
_MASKS = 1024
# The scale of cosines. Gidaris and Komodakis, CVPR 2018, learn one, from 10 on.
COSINE_SCALE = 16.0

Floats = NDArray[np.float32]


class Epochs(Protocol):
    """What a head learns in each epoch."""

    @property
    def rows(self) -> int:
        """The number of rows of every epoch."""

    def draw(self, epoch: int) -> tuple[Floats, Floats]:
        """Return features [rows, features] in random order, and the shares of the classes [rows, classes]."""


@dataclass(frozen=True)
class Head:
    """Weights [features, classes] and bias [classes] of a linear layer; of cosines where it is `cosine`."""

    weights: Floats
    bias: Floats
    cosine: bool = False

    def logits(self, features: Floats) -> Floats:
        """Return float32 [photos, classes]."""
        if self.cosine:
            cosines = unit_rows(features) @ unit_rows(self.weights.T).T
            return np.asarray(np.float32(COSINE_SCALE) * cosines, np.float32)
        return features @ self.weights + self.bias


def unit_rows(rows: Floats) -> Floats:
    """Return rows of length 1."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)


def train_head(
    epochs: Epochs, offsets: Floats, decay: float, seed: int, *, cosine: bool = False, dropout: float = 0.2
) -> Head:
    """Train a head with softmax and cross-entropy, and return it after the last epoch.

    `offsets` [classes] are added to the logits in the training only. Epochs, batches, AdamW, its rate and
    schedule are those of edge-train (features.RECIPE); `decay` is that of the weights, not of the bias. A
    `cosine` head has features and weights of length 1, and no bias.
    """
    rng = np.random.default_rng(seed)
    count = math.ceil(epochs.rows / RECIPE.batch_size) * RECIPE.epochs[0]
    first, _ = epochs.draw(0)
    limit = math.sqrt(6 / (first.shape[1] + len(offsets)))
    weights = rng.uniform(-limit, limit, (first.shape[1], len(offsets))).astype(np.float32)
    head = Head(weights, np.zeros(len(offsets), np.float32), cosine)
    updates = [_AdamW(head.weights, decay), _AdamW(head.bias, 0.0)]
    masks = _masks(first.shape[1], dropout, rng)
    for step, (features, shares) in enumerate(_batches(epochs)):
        rate = learning_rate(step, count)
        start = int(rng.integers(0, len(masks) - len(features) + 1))
        kept = features * masks[start : start + len(features)]
        for update, gradient in zip(updates, _gradients(head, kept, shares, offsets), strict=True):
            update.step(gradient, rate)
    return head


def learning_rate(step: int, count: int) -> float:
    """Return the rate of a step out of `count`: it rises linearly, then falls by a cosine."""
    rate, warmup = RECIPE.learning_rate[0], round(RECIPE.warmup * count)
    if step < warmup:
        return rate / 100 + (rate - rate / 100) * step / warmup
    return rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, count - warmup)))


def _batches(epochs: Epochs) -> Iterator[tuple[Floats, Floats]]:
    for epoch in range(RECIPE.epochs[0]):
        features, shares = epochs.draw(epoch)
        for start in range(0, len(features), RECIPE.batch_size):
            part = slice(start, start + RECIPE.batch_size)
            yield features[part], shares[part]


def _masks(features: int, dropout: float, rng: np.random.Generator) -> Floats:
    """Return factors of dropout [rows, features]; a batch takes some rows that follow each other.

    Drawing new ones for every batch would take as long as all the rest.
    """
    kept = rng.random((_MASKS, features), np.float32) >= dropout
    return np.asarray(kept / np.float32(1 - dropout), np.float32)


def _gradients(head: Head, features: Floats, shares: Floats, offsets: Floats) -> tuple[Floats, Floats]:
    """Return the slopes of the mean cross-entropy in the weights and in the bias."""
    logits = head.logits(features) + offsets
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    slope = (powers / powers.sum(axis=1, keepdims=True) - shares) / np.float32(len(features))
    if not head.cosine:
        return features.T @ slope, slope.sum(axis=0)
    lengths = np.maximum(np.linalg.norm(head.weights, axis=0), 1e-12)
    directions = head.weights / lengths
    straight = COSINE_SCALE * unit_rows(features).T @ slope
    along = (straight * directions).sum(axis=0)
    return np.asarray((straight - directions * along) / lengths, np.float32), np.zeros_like(head.bias)


class _AdamW:
    """Loshchilov and Hutter, ICLR 2019, as Keras computes it; it changes the array that it is given."""

    def __init__(self, values: Floats, decay: float) -> None:
        self._values, self._decay, self._steps = values, decay, 0
        self._mean, self._square = np.zeros_like(values), np.zeros_like(values)

    def step(self, gradient: Floats, rate: float) -> None:
        self._steps += 1
        first, second = _MOMENTS
        self._values *= np.float32(1 - self._decay * rate)
        self._mean *= np.float32(first)
        self._mean += gradient * np.float32(1 - first)
        self._square *= np.float32(second)
        self._square += gradient * gradient * np.float32(1 - second)
        scale = rate * math.sqrt(1 - second**self._steps) / (1 - first**self._steps)
        change = np.sqrt(self._square)
        change += np.float32(_EPSILON)
        np.divide(self._mean, change, out=change)
        change *= np.float32(scale)
        self._values -= change
