"""What each variant lost: the real interpreter against the Keras model, image by image."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.calibration import answered_above
from ..benchmarks.predict import (
    Predictions,
    cores,
    predict_images,
    read_pixels,
    top1_agreement,
    true_indices,
)
from ..benchmarks.split import LabelledImage
from ..benchmarks.statistics import expected_calibration_error, measure
from ..edge.card import Accuracy, ModelCard
from ..edge.classifier import load_classifiers
from ..edge.errors import DatasetError
from ..edge.progress import progress
from .candidate import Candidate
from .sealing import Golden

_GOLDEN_EXAMPLES = 2
_KERAS_CHUNK = 256


@dataclass(frozen=True)
class Scores:
    """`accuracies[i]` belongs to the i-th file scored; `keras_top1` is measured on the same images.

    `reference` is what Keras gives for them, [images, classes].
    """

    keras_top1: float
    reference: NDArray[np.float32]
    accuracies: list[Accuracy]
    predictions: Predictions

    def agreement(self, variant: int) -> float:
        """Return the share of images whose top-1 equals the Keras model's."""
        return top1_agreement(self.predictions.probabilities[variant], self.reference)

    def golden(self, variant: int, card: ModelCard, tolerance: float) -> list[Golden]:
        """Return examples for a file: the first image of each of the first classes that occur."""
        truth = true_indices(self.predictions.images, card.labels)
        _, first = np.unique(truth, return_index=True)
        return [
            Golden(
                read_pixels(self.predictions.images[i], card.input, card.preprocess),
                self.predictions.probabilities[variant][i],
                tolerance,
            )
            for i in first[:_GOLDEN_EXAMPLES]
        ]


def predict_files(files: Sequence[bytes], images: Sequence[LabelledImage], title: str) -> Predictions:
    """Run sealed model `files` on `images` with the interpreter that devices use; `title` is the bar's."""
    with tempfile.TemporaryDirectory(prefix="edge-convert-") as scratch:
        paths = [Path(scratch, f"{number}.tflite") for number in range(len(files))]
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)
        return predict_images(lambda: load_classifiers(paths), images, title)


def score(
    model: Any,
    candidates: Sequence[Candidate],
    images: Sequence[LabelledImage],
    card: ModelCard,
    dataset: str,
) -> Scores:
    """Run the candidates, and the Keras `model` that they come from, on `images`.

    Raises DatasetError when none of the images can be read; single unreadable ones are skipped.
    """
    predictions = predict_files([c.sealed for c in candidates], images, f"scoring {card.name}")
    if not predictions.images:
        raise DatasetError(f"None of the {len(images)} images of {dataset} can be read")
    reference = _keras_probabilities(model, predictions.images, card)
    truth = true_indices(predictions.images, card.labels)
    accuracies = [
        _accuracy(probabilities, reference, truth, candidate.card, dataset)
        for candidate, probabilities in zip(candidates, predictions.probabilities, strict=True)
    ]
    return Scores(_top1(reference, truth), reference, accuracies, predictions)


def _accuracy(
    probabilities: NDArray[np.float32],
    reference: NDArray[np.float32],
    truth: NDArray[np.int64],
    card: ModelCard,
    dataset: str,
) -> Accuracy:
    metrics = measure(probabilities, truth, card.labels)
    coverage, selective_accuracy = None, None
    if card.output.threshold is not None:
        coverage, selective_accuracy = answered_above(probabilities, truth, card.output.threshold)
    return Accuracy(
        dataset=dataset,
        images=metrics.images,
        top1=metrics.accuracy,
        top1_ci95=metrics.accuracy_ci95,
        macro_f1=metrics.macro_f1,
        ece=metrics.ece,
        float_agreement=top1_agreement(probabilities, reference),
        keras_difference=metrics.accuracy - _top1(reference, truth),
        ece_uncalibrated=expected_calibration_error(reference, truth),
        coverage=coverage,
        selective_accuracy=selective_accuracy,
    )


def _top1(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    return float((probabilities.argmax(1) == truth).mean())


def _keras_probabilities(model: Any, images: Sequence[LabelledImage], card: ModelCard) -> NDArray[np.float32]:
    """Return what the Keras model gives for the same images, in chunks that fit into memory."""
    rows = []
    title = f"scoring {card.name} in Keras"
    with ThreadPoolExecutor(cores()) as pool, progress(title, len(images), "images") as advance:
        for start in range(0, len(images), _KERAS_CHUNK):
            chunk = images[start : start + _KERAS_CHUNK]
            pixels = pool.map(lambda image: read_pixels(image, card.input, card.preprocess), chunk)
            rows.append(np.asarray(model(np.stack(list(pixels)).astype(np.float32), training=False)))
            advance(len(chunk))
    return np.concatenate(rows)
