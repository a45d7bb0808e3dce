"""The figures that are reported of latencies and of predictions, each from its published definition."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge.proportions import mcnemar_p, wilson_interval

BOOTSTRAP_SAMPLES = 1000


@dataclass(frozen=True)
class ClassMetrics:
    """One class: rates are fractions of 1, `support` is its number of images."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Metrics:
    """How good a set of predictions is; intervals are 95 %. `confusion[true][predicted]` counts images."""

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

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and numbers."""
        return asdict(self)


def measure(probabilities: NDArray[np.float32], truth: NDArray[np.int64], labels: tuple[str, ...]) -> Metrics:
    """Compare probabilities [images, classes] with the true class indices [images].

    Raises ValueError for no images.
    """
    if len(truth) == 0:
        raise ValueError("no images to measure on")
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    precision, recall, f1 = _rates(confusion.diagonal(), confusion.sum(1), confusion.sum(0))
    macro_f1, balanced = _macro(confusion.diagonal(), confusion.sum(1), confusion.sum(0))
    f1_ci, balanced_ci = _bootstrap(confusion)
    right = int(confusion.trace())
    rows = zip(labels, precision, recall, f1, confusion.sum(1), strict=True)
    return Metrics(
        images=len(truth),
        accuracy=right / len(truth),
        accuracy_ci95=wilson_interval(right, len(truth)),
        loss=cross_entropy(probabilities, truth),
        macro_f1=float(macro_f1),
        macro_f1_ci95=f1_ci,
        balanced_accuracy=float(balanced),
        balanced_accuracy_ci95=balanced_ci,
        ece=expected_calibration_error(probabilities, truth),
        classes=tuple(ClassMetrics(n, float(p), float(r), float(f), int(s)) for n, p, r, f, s in rows),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
    )


def cross_entropy(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """Mean of -ln p(true class); p is bounded at 1e-7, as Keras does, since 8-bit outputs can be 0."""
    chosen = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return float(-np.log(np.clip(chosen, 1e-7, 1.0)).mean())


def expected_calibration_error(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], bins: int = 15
) -> float:
    """Mean gap between confidence and accuracy over equal-width bins: Guo et al., ICML 2017, eq. 3."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == truth
    gaps = np.bincount(confidence_bins(confidence, bins), weights=confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(truth))


def confidence_bins(confidence: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Return the bin of each confidence: of equal width, without their lower and with their upper end."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


@dataclass(frozen=True)
class McNemar:
    """Two models on the same images: how many only one of them has right, and the p-value of that."""

    only_a: int
    only_b: int
    p_value: float


def mcnemar(a_right: NDArray[np.bool_], b_right: NDArray[np.bool_]) -> McNemar:
    """Test whether two models [images] are equally often right: Q. McNemar, Psychometrika 12 (1947) 153.

    Exact and two-sided: of the images on which only one is right, each is either's with probability
    1/2 if they are equally good. Raises ValueError when the two are not of the same images.
    """
    if a_right.shape != b_right.shape:
        raise ValueError(f"not the same images: {len(a_right)} and {len(b_right)}")
    only_a, only_b = int((a_right & ~b_right).sum()), int((b_right & ~a_right).sum())
    return McNemar(only_a, only_b, mcnemar_p(only_a, only_b))


def percentile(values: NDArray[np.float64], percent: float) -> float:
    """The percentile with linear interpolation between the two nearest values (numpy's default)."""
    return float(np.percentile(values, percent))


def _rates(right: Any, support: Any, predicted: Any) -> tuple[Any, Any, Any]:
    """Precision, recall and F1 a class; 0 where nothing was predicted or present, as scikit-learn has it."""
    precision = right / np.maximum(predicted, 1)
    recall = right / np.maximum(support, 1)
    return precision, recall, 2 * right / np.maximum(support + predicted, 1)


def _macro(right: Any, support: Any, predicted: Any) -> tuple[Any, Any]:
    """Mean F1 of the classes that occur or are predicted, and mean recall of those that occur."""
    _, recall, f1 = _rates(right, support, predicted)
    concerned = (support + predicted > 0).sum(-1)
    return f1.sum(-1) / concerned, recall.sum(-1) / (support > 0).sum(-1)


def _bootstrap(confusion: NDArray[np.int64]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Percentile intervals of macro F1 and balanced accuracy, resampling images; always the same seed."""
    truth, guess = np.nonzero(confusion)
    cells = confusion[truth, guess]
    samples = np.random.default_rng(0).multinomial(cells.sum(), cells / cells.sum(), BOOTSTRAP_SAMPLES)
    shape = (BOOTSTRAP_SAMPLES, len(confusion))
    right, support, predicted = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for number, (row, column) in enumerate(zip(truth, guess, strict=True)):
        support[:, row] += samples[:, number]
        predicted[:, column] += samples[:, number]
        if row == column:
            right[:, row] += samples[:, number]
    low_high = [np.percentile(values, (2.5, 97.5)) for values in _macro(right, support, predicted)]
    (f1_low, f1_high), (balanced_low, balanced_high) = low_high
    return (float(f1_low), float(f1_high)), (float(balanced_low), float(balanced_high))
