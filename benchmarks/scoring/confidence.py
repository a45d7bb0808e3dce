"""Calibrated confidence: temperature, reliability, and the threshold for "unsure".

Everything here is fitted on validation images. `probabilities` is float32 [images, classes] and `truth`
the true class indices [images].

`step` is the distance between neighbouring values of an 8-bit output (its quantization scale), and 0 for
float. A stored 0 then only means "less than half a step", and has no logarithm. So the zeros of a row share
the rest of the row to 1: at least half a step together, and at most half a step each. Otherwise 1,000 classes
of half a step would hide the answer. Floats are bounded at the smallest normal float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...edge.statistics.proportions import wilson_interval
from .statistics import confidence_bins

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
# With fewer, a temperature below 1 is where chance has put one or two answers.
LEAST_WRONG = 3
_HALVINGS = 24  # Of an interval whose ends differ by a factor of 400: 6 digits.


@dataclass(frozen=True)
class ReliabilityBin:
    """The answers with a confidence above `low` and up to `high`.

    `confidence` is their mean confidence, and `accuracy` the share of right answers; both are 0 if `images`
    is 0.
    """

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Threshold:
    """The confidence `value` below which the answer is "unsure", and its effect on `images` images.

    `coverage` is the share of images with an answer, `precision` the share of right answers among these.
    """

    value: float
    stated_precision: float
    precision: float
    coverage: float
    images: int


def fit_temperature(probabilities: NDArray[np.float32], truth: NDArray[np.int64], step: float = 0.0) -> float:
    """Return the T in 0.05..20 for which softmax(ln p / T) has the least loss, to 4 decimals.

    Temperature scaling: Guo et al., ICML 2017, section 4.2. The loss is convex in 1/T, so bisection finds the
    zero of its slope. A T above 1 means that the model was overconfident; answers worse than chance give 20.
    Where fewer than three answers are wrong, T is at least 1: right answers alone would have the T of the
    least loss at 0, and do not show how sure a model may be. A true class that shares the highest probability
    counts as right. Returns 1.0 for no images.
    """
    logits = _logarithms(probabilities, step)
    true_logits = np.take_along_axis(logits, truth[:, None], axis=1)[:, 0]
    wrong = int((true_logits < logits.max(axis=1, initial=-np.inf)).sum())
    if wrong == 0:
        return 1.0
    low, high = np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        expected = (_softmax(logits / np.exp(middle)) * logits).sum(axis=1)
        # The slope of the loss in 1/T; if it is positive, the best 1/T is smaller.
        if (expected - true_logits).mean() > 0:
            low = middle
        else:
            high = middle
    fitted = round(float(np.exp((low + high) / 2)), 4)
    return fitted if wrong >= LEAST_WRONG else max(1.0, fitted)


def apply_temperature(
    probabilities: NDArray[np.float32], temperature: float, step: float = 0.0
) -> NDArray[np.float32]:
    """Return softmax(ln p / T), float32 [images, classes]; the order of the classes stays the same.

    Raises ValueError if the temperature is not above 0.
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
    """Return the mean of -ln p(true class) at a temperature, which `fit_temperature` minimizes.

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
    """Return the bars of the reliability diagram, in the bins of `expected_calibration_error`.

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
    """Return the lowest confidence from which on the answers reach `precision`; None if none does.

    The lower end of the 95 % interval (Wilson) of the share of right answers must reach it. The plain share
    would be too good, because of the search for the lowest value and, with few images, by luck. So
    `precision` 0.9 needs at least 35 answers, 0.95 needs 73 and 0.99 needs 381, all of them right, and no
    number of answers shows 1.0. Equal confidences, which are common in 8-bit outputs, are accepted or refused
    together. Raises ValueError if `precision` is not above 0 and up to 1.
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
    """Return coverage and selective accuracy (El-Yaniv and Wiener, JMLR 11, 2010).

    That is the share of images whose confidence is `threshold` or more, and the share of right answers among
    these; the second is None if there are none. Raises ValueError for no images.
    """
    if len(truth) == 0:
        raise ValueError("no images to measure on")
    confidence, right = _answers(probabilities, truth)
    answered = confidence >= threshold
    return float(answered.mean()), float(right[answered].mean()) if answered.any() else None


def _answers(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the confidence of the answer to each image, and whether the answer is right."""
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
