"""The answers of a cross-validation, pooled: every image of a data set is counted once.

The figure is that of the training, not of one model: M. Stone, J. R. Stat. Soc. B 36 (1974) 111. The models
share training images, so their mistakes are not independent, and no estimate of the variance is unbiased
(Y. Bengio and Y. Grandvalet, JMLR 5 (2004) 1089). Wilson's interval, which takes each image as one
independent trial, is an approximation, and can be too narrow (S. Bates, T. Hastie and R. Tibshirani, J. Am.
Stat. Assoc. 119 (2024) 1434).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.scoring.confidence import apply_temperature
from ..benchmarks.scoring.statistics import Metrics, expected_calibration_error, measure
from ..edge.card import CrossValidation
from ..edge.console import say
from ..edge.files import write_atomically
from .evaluation import SubsetAnswers
from .stored_arrays import ArrayFileError, read_stored, unpack_arrays


@dataclass(frozen=True)
class FoldAnswers:
    """The answers of the model of a fold to the fold's images.

    `rows` are the images, int64 [images], and `raw` the probabilities before temperature, float32 [images,
    classes]. Temperature and threshold (None: none reaches the precision) are fitted on the fold's validation
    images. `split` is the hash of the fold's split.
    """

    split: str
    rows: NDArray[np.int64]
    raw: NDArray[np.float32]
    temperature: float
    threshold: float | None
    training_images: int

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Probabilities after temperature, float32 [images, classes]."""
        return apply_temperature(self.raw, self.temperature)

    def right(self, truth: NDArray[np.int64]) -> int:
        """Return how many answers agree with the true classes, int64 [images]."""
        return int((self.probabilities.argmax(axis=1) == truth).sum())

    def describe(self, truth: NDArray[np.int64]) -> str:
        """Return the result in words; `truth` has the class of each row of the data set."""
        right, images = self.right(truth[self.rows]), len(self.rows)
        return f"{right} of {images} images right ({right / images:.1%}), trained on {self.training_images}"

    def write(self, path: Path) -> None:
        """Write the answers whole, or not at all."""
        buffer = io.BytesIO()
        threshold = np.nan if self.threshold is None else self.threshold
        np.savez(buffer, **{**self.__dict__, "threshold": threshold})
        write_atomically(path, buffer.getvalue())

    @classmethod
    def read(cls, path: Path, split: str) -> FoldAnswers | None:
        """Read the answers of the fold with this split; None if there are none, or damaged (with a message).

        Answers of another split are none.
        """
        try:
            content = read_stored(path)
            if content is None:
                return None
            arrays = unpack_arrays(content)
            threshold = float(arrays["threshold"])
            answers = cls(
                str(arrays["split"]), arrays["rows"], arrays["raw"], float(arrays["temperature"]),
                None if np.isnan(threshold) else threshold, int(arrays["training_images"]),
            )  # fmt: skip
            answers._require_shapes()
        except (ValueError, KeyError, TypeError) as error:
            say(f"{path} is damaged ({error}): this fold is trained again")
            return None
        return answers if answers.split == split else None

    def fits(self, rows: NDArray[np.int64], classes: int) -> bool:
        """Return whether these are answers to the images `rows`, int64 [images], of so many classes."""
        return np.array_equal(self.rows, rows) and self.raw.shape == (len(rows), classes)

    def _require_shapes(self) -> None:
        rows, raw = self.rows, self.raw
        if rows.dtype != np.int64 or raw.dtype != np.float32 or rows.ndim != 1 or raw.ndim != 2:
            raise ArrayFileError("its arrays are of another kind")
        if len(rows) != len(raw) or not self.temperature > 0:
            raise ArrayFileError("its arrays do not fit each other")


@dataclass(frozen=True)
class FoldFigure:
    """One fold: its images, how many of them are right, and how its model was trained."""

    images: int
    right: int
    training_images: int
    temperature: float
    threshold: float | None

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return self.right / self.images


@dataclass(frozen=True)
class PooledEvaluation:
    """The answers of all folds together, each image counted once; rates are fractions of 1.

    `metrics` are computed from the probabilities after the temperature of each fold, `ece_before` from those
    before. `answered` is what the folds' own thresholds leave; a fold without one answers everything.
    `right`, bool [images], is in the order of the data set's rows.
    """

    metrics: Metrics
    ece_before: float
    answered: SubsetAnswers
    folds: tuple[FoldFigure, ...]
    right: NDArray[np.bool_]

    @property
    def origin(self) -> str:
        """What the figure is of."""
        return (
            f"{self.metrics.images:,} images, each tested once by one of {len(self.folds)} models trained as "
            "this one"
        )

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest accuracy of a fold."""
        shares = [fold.accuracy for fold in self.folds]
        return min(shares), max(shares)

    @property
    def training_images(self) -> tuple[int, int]:
        """The lowest and the highest number of training images of a fold's model."""
        numbers = [fold.training_images for fold in self.folds]
        return min(numbers), max(numbers)

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and numbers for metrics.json; single images are left out."""
        return {
            "of": self.origin,
            **self.metrics.to_json(),
            "ece_before": self.ece_before,
            "answered": asdict(self.answered),
            "folds": [{**asdict(fold), "accuracy": fold.accuracy} for fold in self.folds],
        }

    def to_card(self) -> CrossValidation:
        """Return the figures for the model's card."""
        metrics = self.metrics
        return CrossValidation(
            len(self.folds), metrics.images, metrics.accuracy, metrics.accuracy_ci95, metrics.macro_f1,
            metrics.ece,
        )  # fmt: skip


def pool_answers(
    answers: Sequence[FoldAnswers], truth: NDArray[np.int64], labels: tuple[str, ...]
) -> PooledEvaluation:
    """Count every image once; `truth` has the class of each row of the data set."""
    rows = np.concatenate([fold.rows for fold in answers])
    order = np.argsort(rows, kind="stable")
    true = truth[rows[order]]
    raw = np.concatenate([fold.raw for fold in answers])[order]
    probabilities = np.concatenate([fold.probabilities for fold in answers])[order]
    lowest = np.concatenate([np.full(len(fold.rows), fold.threshold or 0.0) for fold in answers])[order]
    right = probabilities.argmax(axis=1) == true
    answered = probabilities.max(axis=1) >= lowest
    return PooledEvaluation(
        metrics=measure(probabilities, true, labels),
        ece_before=expected_calibration_error(raw, true),
        answered=SubsetAnswers(
            len(true), float(answered.mean()), float(right[answered].mean()) if answered.any() else None
        ),
        folds=tuple(_figure(fold, truth) for fold in answers),
        right=right,
    )


def _figure(fold: FoldAnswers, truth: NDArray[np.int64]) -> FoldFigure:
    return FoldFigure(
        len(fold.rows), fold.right(truth[fold.rows]), fold.training_images, fold.temperature, fold.threshold
    )
