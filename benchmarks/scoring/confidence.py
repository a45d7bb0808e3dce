"""Confidence that means something: temperature, reliability, and the threshold for "unknown".

Everything here is fitted on validation images. `probabilities` is float32 [images, classes] and `truth`
the true class indices [images].

`step` is the distance between neighbouring values of an 8-bit output (its quantization scale), and 0 for
float. A stored 0 then only means "less than half a step", and has no logarithm: the zeros of a row share
what the row lacks of 1, at least half a step together and at most half a step each. Without that, 1,000
classes of half a step would hide the answer. Floats are bounded at the smallest normal float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...edge.statistics.proportions import wilson_interval
from .statistics import confidence_bins

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
_HALVINGS = 24  # Of an interval whose ends differ by a factor of 400: 6 digits.


@dataclass(frozen=True)
class ReliabilityBin:
    """The answers with a confidence above `low` and up to `high`.

    `confidence` is their mean confidence and `accuracy` the share that is right; both are 0 where
    `images` is 0.
    """

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Threshold:
    """The confidence `value` below which the answer is "unknown", and what it did on `images` images.

    `coverage` is the share of images answered, `precision` the share of these answers that are right.
    """

    value: float
    stated_precision: float
    precision: float
    coverage: float
    images: int


def fit_temperature(probabilities: NDArray[np.float32], truth: NDArray[np.int64], step: float = 0.0) -> float:
    """Return the T in 0.05..20 for which softmax(ln p / T) has the least loss, to 4 decimals.

    Temperature scaling: Guo et al., ICML 2017, section 4.2. The loss is convex in 1/T, so its slope's
    zero is found by halving an interval. Above 1 the model was too sure; answers worse than chance give
    20. Returns 1.0 where nothing can be learnt: for no images, and when every true class has the highest
    probability, also in a tie (the loss then falls, or stays, for ever as T goes to 0).
    """
    logits = _logarithms(probabilities, step)
    true_logits = np.take_along_axis(logits, truth[:, None], axis=1)[:, 0]
    if (true_logits == logits.max(axis=1, initial=-np.inf)).all():
        return 1.0
    low, high = np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        expected = (_softmax(logits / np.exp(middle)) * logits).sum(axis=1)
        # The slope of the loss in 1/T; where it is positive, the best 1/T is smaller.
        if (expected - true_logits).mean() > 0:
            low = middle
        else:
            high = middle
    return round(float(np.exp((low + high) / 2)), 4)


def apply_temperature(
    probabilities: NDArray[np.float32], temperature: float, step: float = 0.0
) -> NDArray[np.float32]:
    """Return softmax(ln p / T), float32 [images, classes]; no class overtakes another.

    Raises ValueError when the temperature is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0. Received: {temperature}")
    return _softmax(_logarithms(probabilities, step) / temperature).astype(np.float32)


def temperature_loss(
    probabilities: NDArray[np.float32],
    truth: NDArray[np.int64],
    temperature: float = 1.0,
    step: float = 0.0,
) -> float:
    """Return the mean of -ln p(true class) at a temperature: what `fit_temperature` makes least.

    Raises ValueError for no images.
    """
    if len(truth) == 0:
        raise ValueError("no images to measure on")
    logits = _logarithms(probabilities, step) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    true_logits = np.take_along_axis(logits, truth[:, None], axis=1)[:, 0]
    return float((np.log(np.exp(logits).sum(axis=1)) - true_logits).mean())


def reliability_bins(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], bins: int = 15
) -> tuple[ReliabilityBin, ...]:
    """Return the reliability diagram's bars, in the bins that `expected_calibration_error` uses.

    That error is the mean of |confidence - accuracy| over the bins, weighted by their images.
    """
    confidence, right = _answers(probabilities, truth)
    place = confidence_bins(confidence, bins)
    images = np.bincount(place, minlength=bins)
    total = np.bincount(place, weights=confidence, minlength=bins) / np.maximum(images, 1)
    accuracy = np.bincount(place, weights=right, minlength=bins) / np.maximum(images, 1)
    return tuple(
        ReliabilityBin(i / bins, (i + 1) / bins, int(images[i]), float(total[i]), float(accuracy[i]))
        for i in range(bins)
    )


def choose_threshold(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], precision: float
) -> Threshold | None:
    """Return the lowest confidence from which on the answers are right often enough, or None.

    Often enough: the lower end of the 95 % interval (Wilson) of the share that is right is `precision`
    or more. The bare share would be flattered by the search for the lowest value and, with few images,
    by luck. So `precision` 0.9 needs at least 35 answers, 0.95 needs 73 and 0.99 needs 381, all of them
    right, and 1.0 cannot be shown by any number. Equal confidences, common in 8-bit outputs, are
    accepted or refused together. Raises ValueError when `precision` is not above 0 and up to 1.
    """
    if not 0 < precision <= 1:
        raise ValueError(f"precision must be above 0 and up to 1. Received: {precision}")
    confidence, right = _answers(probabilities, truth)
    order = np.argsort(-confidence, kind="stable")
    confidence, right = confidence[order], np.cumsum(right[order])
    last_of_equals = np.flatnonzero(np.append(confidence[1:] != confidence[:-1], True)[: len(confidence)])
    for last in reversed(last_of_equals):
        answered, correct = int(last) + 1, int(right[last])
        if wilson_interval(correct, answered)[0] >= precision:
            share = answered / len(truth)
            return Threshold(float(confidence[last]), precision, correct / answered, share, len(truth))
    return None


def answered_above(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], threshold: float
) -> tuple[float, float | None]:
    """Return the share of images whose confidence is `threshold` or more, and the share of those right.

    Coverage and selective accuracy (El-Yaniv and Wiener, JMLR 11, 2010). The second is None where
    nothing is answered. Raises ValueError for no images.
    """
    if len(truth) == 0:
        raise ValueError("no images to measure on")
    confidence, right = _answers(probabilities, truth)
    answered = confidence >= threshold
    return float(answered.mean()), float(right[answered].mean()) if answered.any() else None


def _answers(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the confidence of each image's answer, and whether it is right."""
    return probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == truth


def _logarithms(probabilities: NDArray[np.float32], step: float) -> NDArray[np.float64]:
    p = probabilities.astype(np.float64)
    if not step:
        return np.log(np.maximum(p, np.finfo(np.float32).tiny))
    zeros = np.maximum((p <= 0).sum(axis=1), 1)
    missing = np.clip(1 - p.sum(axis=1), step / 2, zeros * step / 2)
    return np.log(np.where(p > 0, p, (missing / zeros)[:, None]))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
