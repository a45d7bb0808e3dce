"""What is measured on the validation images after each epoch, and decides which epoch is kept."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.scoring.confidence import apply_temperature, fit_temperature


def validate(
    logits: NDArray[np.float32],
    truth: NDArray[np.int64],
    offsets: NDArray[np.float32],
    weights: NDArray[np.float32] | None,
) -> tuple[float, float]:
    """Return (loss, accuracy) of logits [images, classes]; the loss is NaN when a logit is no number.

    The loss is the cross-entropy as it is trained, with the `offsets` of adjusted logits and a weight for
    each class if there are any, but at the best temperature, since that is fitted after the training anyway:
    a network that gets more answers right while it grows too sure of them is the better one.
    """
    accuracy = float((logits.argmax(axis=1) == truth).mean())
    if not np.isfinite(logits).all():
        return math.nan, accuracy
    probabilities = _softmax(logits + offsets)
    calibrated = apply_temperature(probabilities, fit_temperature(probabilities, truth))
    chosen = calibrated[np.arange(len(truth)), truth].astype(np.float64)
    losses = -np.log(np.clip(chosen, 1e-7, 1.0))  # Bounded as Keras does.
    return float(np.average(losses, weights=None if weights is None else weights[truth])), accuracy


def _softmax(logits: NDArray[Any]) -> NDArray[np.float32]:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
