"""Measures a trained model by its predictions alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.scoring.confidence import (
    ReliabilityBin,
    Threshold,
    answered_above,
    apply_temperature,
    choose_threshold,
    fit_temperature,
    reliability_bins,
)
from ..benchmarks.scoring.statistics import Metrics, expected_calibration_error, measure
from ..edge.statistics.proportions import wilson_interval
from .corruption import CORRUPTIONS, corrupt
from .dataset import Examples

MAX_TRAIN_MEASURED = 10_000
MAX_CORRUPTED = 1_000
MAX_MISTAKES = 12
_BATCH = 64

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From pixels, uint8 [n, side, side, 3], to probabilities, float32 [n, classes]."""


@dataclass(frozen=True)
class Mistake:
    """A wrong answer: path of the image, row of its pixels, indices of both labels, and confidence."""

    path: str
    row: int
    true: int
    predicted: int
    confidence: float


@dataclass(frozen=True)
class PicturedMistake:
    """A mistake with the input of the model as JPEG, also with a heat map over it.

    `overlay` is None if the last feature map of the model is a single cell, which shows no place.
    """

    mistake: Mistake
    picture: bytes
    overlay: bytes | None


@dataclass(frozen=True)
class SubsetAnswers:
    """The answers above a threshold: the share of `images` that get one, and the share that is right.

    `precision` is None if there is no answer.
    """

    images: int
    coverage: float
    precision: float | None


@dataclass(frozen=True)
class Robustness:
    """Accuracy on the same `images`, clean and with each of CORRUPTIONS, with 95 % intervals."""

    images: int
    clean: float
    clean_ci95: tuple[float, float]
    accuracy: dict[str, float]
    accuracy_ci95: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Confidence:
    """The temperature, and the threshold of "unsure" (None: none reaches the precision)."""

    temperature: float
    threshold: Threshold | None

    @classmethod
    def fit(cls, raw: NDArray[np.float32], truth: NDArray[np.int64], precision: float) -> Confidence:
        """Return what fits answers to images that the model has not learned from.

        `raw` are probabilities before temperature, float32 [images, classes], and `truth` the true classes,
        int64 [images].
        """
        temperature = fit_temperature(raw, truth)
        return cls(temperature, choose_threshold(apply_temperature(raw, temperature), truth, precision))


@dataclass(frozen=True)
class Evaluation:
    """The result of a model on the evaluation images; rates are fractions of 1.

    `metrics` are computed from the probabilities after temperature, which changes no answer. `right`
    says for each image whether the answer is right.
    """

    metrics: Metrics
    train_accuracy: float
    temperature: float
    ece_before: float
    reliability_before: tuple[ReliabilityBin, ...]
    reliability_after: tuple[ReliabilityBin, ...]
    stated_precision: float
    threshold: Threshold | None
    answered: SubsetAnswers | None
    corruption: Robustness
    mistakes: tuple[Mistake, ...]
    right: NDArray[np.bool_]

    @property
    def gap(self) -> float:
        """Accuracy on training images minus accuracy on the evaluation images."""
        return self.train_accuracy - self.metrics.accuracy

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and numbers for metrics.json; single images are left out."""
        return {
            **self.metrics.to_json(),
            "train_accuracy": self.train_accuracy,
            "gap": self.gap,
            "temperature": self.temperature,
            "ece_before": self.ece_before,
            "stated_precision": self.stated_precision,
            "threshold": asdict(self.threshold) if self.threshold else None,
            "answered": asdict(self.answered) if self.answered else None,
            "corruption": asdict(self.corruption),
        }


def evaluate(
    predict: Predict,
    training: Examples,
    evaluation: Examples,
    labels: tuple[str, ...],
    paths: Sequence[str],
    confidence: Confidence,
    precision: float,
    seed: int,
) -> Evaluation:
    """Measure a model; `paths` are the paths of the evaluation images, in their order.

    `confidence` was fitted for `precision`, above 0 and up to 1. The cost is bounded: at most 10,000 training
    images are measured, and 1,000 evaluation images with each corruption; the seed draws them. Raises
    ValueError for no images.
    """
    raw, truth = predict_examples(predict, evaluation), evaluation.truth
    temperature, threshold = confidence.temperature, confidence.threshold
    probabilities = apply_temperature(raw, temperature)
    return Evaluation(
        metrics=measure(probabilities, truth, labels),
        train_accuracy=_train_accuracy(predict, training, seed),
        temperature=temperature,
        ece_before=expected_calibration_error(raw, truth),
        reliability_before=reliability_bins(raw, truth),
        reliability_after=reliability_bins(probabilities, truth),
        stated_precision=precision,
        threshold=threshold,
        answered=_answered(probabilities, truth, threshold) if threshold else None,
        corruption=_robustness(predict, evaluation, probabilities, seed),
        mistakes=_mistakes(probabilities, evaluation, paths),
        right=probabilities.argmax(axis=1) == truth,
    )


def predict_examples(predict: Predict, examples: Examples) -> NDArray[np.float32]:
    """Predict in batches, because the pixels of a whole data set may not fit into memory."""
    rows = examples.rows
    return np.concatenate(
        [predict(examples.pixels[rows[first : first + _BATCH]]) for first in range(0, len(rows), _BATCH)]
    )


def _sample(size: int, limit: int, seed: int) -> NDArray[np.int64]:
    """Return at most `limit` of the numbers below `size`, in their order."""
    if size <= limit:
        return np.arange(size)
    return np.sort(np.random.default_rng(seed).choice(size, limit, replace=False))


def _train_accuracy(predict: Predict, training: Examples, seed: int) -> float:
    chosen = _sample(len(training.rows), MAX_TRAIN_MEASURED, seed)
    sample = Examples(training.pixels, training.rows[chosen], training.truth[chosen])
    return float((predict_examples(predict, sample).argmax(axis=1) == sample.truth).mean())


def _answered(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], threshold: Threshold
) -> SubsetAnswers:
    coverage, precision = answered_above(probabilities, truth, threshold.value)
    return SubsetAnswers(len(truth), coverage, precision)


def _robustness(
    predict: Predict, evaluation: Examples, probabilities: NDArray[np.float32], seed: int
) -> Robustness:
    chosen = _sample(len(evaluation.rows), MAX_CORRUPTED, seed)
    truth = evaluation.truth[chosen]
    correct = dict.fromkeys(CORRUPTIONS, 0)
    for first in range(0, len(chosen), _BATCH):
        part = chosen[first : first + _BATCH]
        pixels = evaluation.pixels[evaluation.rows[part]]
        for kind in CORRUPTIONS:
            # Each batch has another seed: otherwise all would get the same noise.
            guess = predict(corrupt(pixels, kind, seed + first)).argmax(axis=1)
            correct[kind] += int((guess == evaluation.truth[part]).sum())
    images = len(chosen)
    clean = int((probabilities[chosen].argmax(axis=1) == truth).sum())
    return Robustness(
        images=images,
        clean=clean / images,
        clean_ci95=wilson_interval(clean, images),
        accuracy={kind: count / images for kind, count in correct.items()},
        accuracy_ci95={kind: wilson_interval(count, images) for kind, count in correct.items()},
    )


def _mistakes(
    probabilities: NDArray[np.float32], evaluation: Examples, paths: Sequence[str]
) -> tuple[Mistake, ...]:
    """Return the wrong answers with the highest confidence, the highest first."""
    confidence, guess = probabilities.max(axis=1), probabilities.argmax(axis=1)
    wrong = np.flatnonzero(guess != evaluation.truth)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:MAX_MISTAKES]
    return tuple(
        Mistake(
            paths[i], int(evaluation.rows[i]), int(evaluation.truth[i]), int(guess[i]), float(confidence[i])
        )
        for i in worst
    )
