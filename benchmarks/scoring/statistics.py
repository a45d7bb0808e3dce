"""Figures of classification: accuracy, F1, loss and calibration, each from its published definition."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...edge.statistics.chance import compare_with_chance
from ...edge.statistics.proportions import Z95, wilson_interval

CALIBRATION_BINS = 15
_ROUNDING = 1e-20  # Far above the squared error of sums, far below one mistake in a million.
_CERTAIN = 3.0  # Standard errors: the sign of a larger gap is no chance.


@dataclass(frozen=True)
class ClassMetrics:
    """One class: rates are fractions of 1, `support` is its number of images."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class UnknownShares:
    """The shares that are answered "unknown": of all `images`, and of those whose class would be `right`."""

    images: float
    right: float


def shares_of_unknown(unknown: NDArray[np.bool_], right: NDArray[np.bool_]) -> UnknownShares:
    """Return the shares, by whether each image is answered so, and its likeliest class is right, [images]."""
    lost = float(unknown[right].mean()) if right.any() else 0.0
    return UnknownShares(float(unknown.mean()), lost)


@dataclass(frozen=True)
class Metrics:
    """Figures of a set of predictions; intervals are 95 %. `confusion[true][predicted]` counts images.

    `chance` and `above_chance_p` are the fields of edge.statistics.chance.Chance.
    """

    images: int
    accuracy: float
    accuracy_ci95: tuple[float, float]
    loss: float
    macro_f1: float
    macro_f1_ci95: tuple[float, float]
    balanced_accuracy: float
    balanced_accuracy_ci95: tuple[float, float]
    ece: float
    classes: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    chance: float
    above_chance_p: float | None

    @property
    def top1(self) -> float:
        """The accuracy, by the name that edge.statistics.chance.HasChance has for it."""
        return self.accuracy

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and numbers."""
        return asdict(self)


@dataclass(frozen=True)
class Counts:
    """Images by class, int64 [classes]: answered right, of the class, and answered with the class.

    Rates are 0 where nothing was predicted or present, as in scikit-learn.
    """

    right: NDArray[np.int64]
    support: NDArray[np.int64]
    predicted: NDArray[np.int64]

    @property
    def precision(self) -> NDArray[np.float64]:
        """The share of the answers with this class that is right."""
        return np.asarray(self.right / np.maximum(self.predicted, 1))

    @property
    def recall(self) -> NDArray[np.float64]:
        """The share of the images of this class that is answered right."""
        return np.asarray(self.right / np.maximum(self.support, 1))

    @property
    def f1(self) -> NDArray[np.float64]:
        """The harmonic mean of precision and recall."""
        return np.asarray(2 * self.right / np.maximum(self.support + self.predicted, 1))


def measure(probabilities: NDArray[np.float32], truth: NDArray[np.int64], labels: tuple[str, ...]) -> Metrics:
    """Compare probabilities [images, classes] with the true class indices [images].

    Raises ValueError for no images.
    """
    if len(truth) == 0:
        raise ValueError("no images to measure on")
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    counts = count_answers(truth, predicted, len(labels))
    # As in scikit-learn: the classes that occur or are predicted.
    macro_f1, f1_ci = macro_f1_score(truth, predicted, counts, counts.support + counts.predicted > 0)
    balanced, balanced_ci = _balanced_accuracy(counts)
    right = int(counts.right.sum())
    chance = compare_with_chance(truth, predicted)
    rows = zip(labels, counts.precision, counts.recall, counts.f1, counts.support, strict=True)
    return Metrics(
        images=len(truth),
        accuracy=right / len(truth),
        accuracy_ci95=wilson_interval(right, len(truth)),
        loss=cross_entropy(probabilities, truth),
        macro_f1=macro_f1,
        macro_f1_ci95=f1_ci,
        balanced_accuracy=balanced,
        balanced_accuracy_ci95=balanced_ci,
        ece=expected_calibration_error(probabilities, truth),
        classes=tuple(ClassMetrics(n, float(p), float(r), float(f), int(s)) for n, p, r, f, s in rows),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
        chance=chance.expected,
        above_chance_p=chance.p_value,
    )


def cross_entropy(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """Mean of -ln p(true class); p is bounded at 1e-7, as Keras does, since 8-bit outputs can be 0."""
    chosen = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return float(-np.log(np.clip(chosen, 1e-7, 1.0)).mean())


def expected_calibration_error(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], bins: int = CALIBRATION_BINS
) -> float:
    """Mean gap between confidence and accuracy over equal-width bins: Guo et al., ICML 2017, eq. 3."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    return calibration_error(confidence, probabilities.argmax(axis=1) == truth, bins)


def calibration_error(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = CALIBRATION_BINS
) -> float:
    """As `expected_calibration_error`, from the confidence of answers [images] and whether they are right."""
    gaps = np.bincount(confidence_bins(confidence, bins), weights=confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(right))


def calibration_interval(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = CALIBRATION_BINS
) -> tuple[float, float]:
    """Interval of the calibration error that holds the true error in at least 95 % of samples.

    Noise makes the measured error larger, since gaps count without their signs. A percentile bootstrap adds
    the same noise once more: it never holds the true error of calibrated answers. So each end has its own
    bound. Lower: a measured gap is at most the true gap plus the size of its noise; where the gap is certain,
    plus the noise with its sign. Upper: the error is at least the sum of the measured gaps with their true
    signs, which is normal and has no bias. The gap of a bin varies with which of its answers are right (their
    share smoothed as by Agresti and Coull, Am. Stat. 52 (1998) 119) and with its number of images.
    """
    place, images = confidence_bins(confidence, bins), len(right)
    gaps = np.bincount(place, weights=confidence - right, minlength=bins)
    size = np.bincount(place, minlength=bins)
    share = (np.bincount(place, weights=right, minlength=bins) + 2) / (size + 4)
    variance = size * share * (1 - share) + gaps**2 / np.maximum(size, 1) * (1 - size / images)
    error = float(np.abs(gaps).sum())
    certain = np.abs(gaps) > _CERTAIN * np.sqrt(variance)
    # |noise| is half a normal distribution: mean sqrt(2 / pi), variance 1 - 2 / pi, times the noise's.
    bias = np.sqrt(2 / np.pi * variance[~certain]).sum()
    spread = np.sqrt(variance[certain].sum() + (1 - 2 / np.pi) * variance[~certain].sum())
    low, high = error - bias - Z95 * spread, error + Z95 * np.sqrt(variance.sum())
    return max(0.0, float(low) / images), min(1.0, float(high) / images)


def confidence_bins(confidence: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Return the bin of each confidence; bins have equal width, and include only their upper ends."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def count_answers(truth: NDArray[np.int64], guess: NDArray[np.int64], classes: int) -> Counts:
    """Count true and answered classes [images]; an answer of -1 is none of the classes."""
    support, right = (
        np.bincount(truth, minlength=classes),
        np.bincount(truth[truth == guess], minlength=classes),
    )
    return Counts(right, support, np.bincount(guess[guess >= 0], minlength=classes))


def macro_f1_score(
    truth: NDArray[np.int64], guess: NDArray[np.int64], counts: Counts, concerned: NDArray[np.bool_]
) -> tuple[float, tuple[float, float]]:
    """Return the mean F1 of the classes that are `concerned`, bool [classes], and its 95 % interval.

    The variance is the delta method's, as in K. Takahashi et al., Appl. Intell. 52 (2022) 4961: the sum of
    squares of what each image adds to the mean. Of 1,000 classes with two images each it still holds the true
    value in 90 % of samples, where a bootstrap never does.
    """
    each = counts.f1 / concerned.sum()
    weight = np.where(concerned, 1 / np.maximum(counts.support + counts.predicted, 1), 0.0)
    slope = each * weight
    # An answer of -1 is of no class: it adds nothing.
    answered = np.where(guess >= 0, slope[guess], 0.0)
    added = 2 * (truth == guess) * weight[truth] / concerned.sum() - slope[truth] - answered
    value = float(each[concerned].sum())
    return value, _class_mean_interval(value, float((added**2).sum()), counts.support)


def _balanced_accuracy(counts: Counts) -> tuple[float, tuple[float, float]]:
    """Return the mean recall of the classes that occur, and its interval: recalls are independent."""
    present = counts.support > 0
    recall = counts.recall[present]
    value = float(recall.mean())
    variance = float((recall * (1 - recall) / counts.support[present]).sum() / present.sum() ** 2)
    return value, _class_mean_interval(value, variance, counts.support)


def _class_mean_interval(value: float, variance: float, support: NDArray[np.int64]) -> tuple[float, float]:
    """Return Wilson's interval for the number of images whose share would vary as much as this mean.

    Shares in samples that are not simple are treated so: C. Franco et al., J. Surv. Stat. Methodol. 7 (2019)
    334. That number is bounded by that for equally hard classes: few mistakes show little of the variance.
    """
    present = support[support > 0]
    worth = len(present) ** 2 / float((1 / present).sum())
    if variance > _ROUNDING:  # Less counts as none: sums of fractions are not exact.
        worth = min(worth, value * (1 - value) / variance)
    return wilson_interval(value * worth, worth)
