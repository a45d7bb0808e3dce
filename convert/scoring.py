"""What each variant lost: the real interpreter against the float model, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.scoring.confidence import answered_above, apply_temperature
from ..benchmarks.scoring.predict import (
    Predictions,
    predict_images,
    read_pixels,
    top1_agreement,
    true_indices,
)
from ..benchmarks.scoring.split import SkippedImage
from ..benchmarks.scoring.statistics import expected_calibration_error, measure
from ..edge.card import Accuracy, ModelCard
from ..edge.classifier import Classifier
from ..edge.cores import cores
from ..edge.errors import DatasetError
from ..edge.labelled import LabelledImage
from ..edge.modelfile import ModelFile
from ..edge.progress import progress
from ..edge.statistics.paired import mcnemar
from ..edge.tflite.sealing import Golden
from .candidate import Candidate
from .golden import golden_examples
from .sources.float_model import FloatModel

_GOLDEN_EXAMPLES, _GOLDEN_CHOICE = 2, 10
_CHUNK_PIXELS = 1 << 19  # MobileNetV2 in Keras takes 2 kB a pixel: 1 GB.


@dataclass(frozen=True)
class Scored:
    """A candidate, what it was measured to be, and what it gave: float32 [images, classes].

    `accuracy` and `probabilities` are None where there are no labelled images; `estimated_loss` may then say
    what other images let expect.
    """

    candidate: Candidate
    accuracy: Accuracy | None
    probabilities: NDArray[np.float32] | None
    estimated_loss: float | None = None

    @property
    def lost(self) -> float | None:
        """The top-1 accuracy (a fraction) lost to the float model; negative where it gained."""
        if self.accuracy is None:
            return self.estimated_loss
        return 0.0 - (self.accuracy.keras_difference or 0.0)


class Scorer:
    """Scores the candidates of one model on labelled images, all on the same ones.

    After the first call `skipped` lists the images that cannot be read, `truth` is the classes [images] of
    the others, and `reference` what the float model gives for them, float32 [images, classes].
    """

    def __init__(
        self, model: FloatModel, images: Sequence[LabelledImage], card: ModelCard, dataset: str
    ) -> None:
        """Take the float model that all candidates come from; without `images` nothing is scored."""
        self._model, self._card, self._dataset = model, card, dataset
        self._images = list(images)
        self.skipped: list[SkippedImage] = []
        self.truth: NDArray[np.int64] = np.empty(0, np.int64)
        self.reference: NDArray[np.float32] = np.empty((0, len(card.labels)), np.float32)

    @property
    def reference_top1(self) -> float | None:
        """The float model's top-1 accuracy; None where nothing was scored."""
        return float(_right(self.reference, self.truth).mean()) if len(self.truth) else None

    def score(self, candidates: Sequence[Candidate]) -> list[Scored]:
        """Run the candidates on the images.

        Raises DatasetError when none of the images can be read; single unreadable ones are skipped.
        """
        if not self._images:
            return [Scored(candidate, None, None) for candidate in candidates]
        predictions = predict_files(
            [c.sealed for c in candidates], self._images, f"scoring {self._card.name}"
        )
        self._learn_reference(predictions)
        return [
            Scored(c, self._accuracy(p, c.card), p)
            for c, p in zip(candidates, predictions.probabilities, strict=True)
        ]

    def golden(self, scored: Scored, others: Sequence[LabelledImage]) -> list[Golden]:
        """Return two examples for a file, of different classes where labelled images were scored.

        Of several images, those on which the runtime's own kernels and those of its delegate agree best:
        they round differently, and old runtimes only have the first. Where nothing was scored, the images
        are the first of `others`; those must be readable.
        """
        card = scored.candidate.card
        if scored.probabilities is not None:
            _, first = np.unique(self.truth, return_index=True)
            images = [self._images[i] for i in first[:_GOLDEN_CHOICE]]
        else:
            images = list(others[:_GOLDEN_CHOICE])
        pixels = [read_pixels(image, card.input, card.preprocess) for image in images]
        examples = golden_examples(scored.candidate.sealed, pixels, scored.candidate.recipe.tolerance)
        return sorted(examples, key=lambda example: example.tolerance)[:_GOLDEN_EXAMPLES]

    def _learn_reference(self, predictions: Predictions) -> None:
        if not predictions.images:
            raise DatasetError(f"None of the {len(self._images)} images of {self._dataset} can be read")
        if len(self.truth) and len(predictions.images) != len(self.truth):  # They could a minute ago.
            raise DatasetError(predictions.skipped[0].reason)
        if not len(self.truth):
            self.skipped, self._images = predictions.skipped, predictions.images
            self.truth = true_indices(predictions.images, self._card.labels)
            self.reference = _run_float(self._model, predictions.images, self._card)

    def _accuracy(self, probabilities: NDArray[np.float32], card: ModelCard) -> Accuracy:
        metrics = measure(probabilities, self.truth, card.labels)
        right, reference_right = _right(probabilities, self.truth), _right(self.reference, self.truth)
        # The float model has no temperature, and the file's own is no difference that quantizing made.
        differences = np.abs(probabilities - apply_temperature(self.reference, card.output.temperature))
        coverage, selective_accuracy = None, None
        if card.output.threshold is not None:
            coverage, selective_accuracy = answered_above(probabilities, self.truth, card.output.threshold)
        return Accuracy(
            dataset=self._dataset,
            images=metrics.images,
            top1=metrics.accuracy,
            top1_ci95=metrics.accuracy_ci95,
            macro_f1=metrics.macro_f1,
            ece=metrics.ece,
            float_agreement=top1_agreement(probabilities, self.reference),
            keras_difference=metrics.accuracy - float(reference_right.mean()),
            ece_uncalibrated=expected_calibration_error(self.reference, self.truth),
            coverage=coverage,
            selective_accuracy=selective_accuracy,
            mean_difference=round(float(differences.mean()), 4),
            largest_difference=round(float(differences.max()), 4),
            p_value=mcnemar(right, reference_right).p_value,
        )


def predict_files(files: Sequence[bytes], images: Sequence[LabelledImage], title: str) -> Predictions:
    """Run sealed model `files` on `images` with the interpreter that devices use; `title` is the bar's."""
    read = [ModelFile.read(data) for data in files]
    return predict_images(lambda: [Classifier(file) for file in read], images, title)


def _right(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray(probabilities.argmax(1) == truth)


def _run_float(model: FloatModel, images: Sequence[LabelledImage], card: ModelCard) -> NDArray[np.float32]:
    """Return what the float model gives, in chunks that fit into memory."""
    rows = []
    size = max(1, _CHUNK_PIXELS // (card.input.height * card.input.width))
    title = f"scoring {card.name} in {model.framework}"
    with ThreadPoolExecutor(cores()) as pool, progress(title, len(images), "images") as advance:
        for start in range(0, len(images), size):
            chunk = images[start : start + size]
            pixels = pool.map(lambda image: read_pixels(image, card.input, card.preprocess), chunk)
            rows.append(model.probabilities(np.stack(list(pixels))))
            advance(len(chunk))
    return np.concatenate(rows)
