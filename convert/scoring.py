"""How much each variant lost: the interpreter of devices against the float model, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.scoring.confidence import answered_above, apply_temperature
from ..benchmarks.scoring.loss import Loss
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
from ..edge.runtime import Loaded, load_interpreter
from ..edge.statistics.paired import mcnemar
from ..edge.tflite.sealing import Golden
from .output import loss_of
from .sources.job import FloatModel
from .variant import Variant

_GOLDEN_EXAMPLES, _GOLDEN_CHOICE = 2, 10
# Other processors round differently again: a difference between two sets of kernels here may double there.
_MARGIN = 2.0
_CHUNK_PIXELS = 1 << 19  # MobileNetV2 in Keras takes 2 kB a pixel: 1 GB.


@dataclass(frozen=True)
class ScoredAnswers:
    """A variant's accuracy on labelled images, and its probabilities for them, float32 [images, classes]."""

    accuracy: Accuracy
    probabilities: NDArray[np.float32]


@dataclass(frozen=True)
class Scored:
    """A variant and its answers, which are None where there are no labelled images.

    `estimated_loss` may then be the loss on other images, as a fraction.
    """

    variant: Variant
    answers: ScoredAnswers | None
    estimated_loss: float | None = None

    @property
    def accuracy(self) -> Accuracy | None:
        """The measured accuracy; None where nothing was scored."""
        return self.answers.accuracy if self.answers else None

    @property
    def loss(self) -> Loss | None:
        """The top-1 accuracy lost to the float model, measured or else estimated; None where not known."""
        return loss_of(self.accuracy, self.estimated_loss)


class Scorer:
    """Scores the variants of one model, all on the same labelled images.

    After the first call `skipped` lists the images that cannot be read, `truth` holds the classes of the
    others, int64 [images], and `reference` the float model's probabilities for them, float32 [images,
    classes].
    """

    def __init__(
        self, model: FloatModel, images: Sequence[LabelledImage], card: ModelCard, dataset: str
    ) -> None:
        """Take the float model of all variants; without `images` nothing is scored."""
        self._model, self._card, self._dataset = model, card, dataset
        self._images = list(images)
        self.skipped: list[SkippedImage] = []
        self.truth: NDArray[np.int64] = np.empty(0, np.int64)
        self.reference: NDArray[np.float32] = np.empty((0, len(card.labels)), np.float32)

    @property
    def reference_top1(self) -> float | None:
        """The float model's top-1 accuracy; None where nothing was scored."""
        return float(_right(self.reference, self.truth).mean()) if len(self.truth) else None

    def score(self, variants: Sequence[Variant]) -> list[Scored]:
        """Run the variants on the images.

        Raises DatasetError when none of the images can be read; single unreadable ones are skipped.
        """
        if not self._images:
            return [Scored(variant, None) for variant in variants]
        files = [variant.sealed for variant in variants]
        predictions = predict_files(files, self._images, f"scoring {self._card.name}")
        self._learn_reference(predictions)
        return [
            Scored(variant, ScoredAnswers(self._accuracy(probabilities, variant.card), probabilities))
            for variant, probabilities in zip(variants, predictions.probabilities, strict=True)
        ]

    def golden(self, scored: Scored, others: Sequence[LabelledImage]) -> list[Golden]:
        """Return two examples for a file, of different classes where labelled images were scored.

        Of several images these are the two on which the runtime's own kernels and its delegate's agree best:
        the two round differently, and old runtimes have the first only. Where nothing was scored, the images
        are the first of `others`, which must be readable.
        """
        variant = scored.variant
        if scored.answers is not None:
            _, first = np.unique(self.truth, return_index=True)
            images = [self._images[i] for i in first[:_GOLDEN_CHOICE]]
        else:
            images = list(others[:_GOLDEN_CHOICE])
        pixels = [read_pixels(image, variant.card.input, variant.card.preprocess) for image in images]
        examples = _golden_examples(variant.sealed, pixels, variant.recipe.tolerance)
        return sorted(examples, key=lambda example: example.tolerance)[:_GOLDEN_EXAMPLES]

    def _learn_reference(self, predictions: Predictions) -> None:
        if not predictions.images:
            raise DatasetError(f"None of the {len(self._images)} images of {self._dataset} can be read")
        if len(self.truth) and len(predictions.images) != len(self.truth):  # It was read a minute ago.
            raise DatasetError(predictions.skipped[0].reason)
        if not len(self.truth):
            self.skipped, self._images = predictions.skipped, predictions.images
            self.truth = true_indices(predictions.images, self._card.labels)
            self.reference = _run_float(self._model, predictions.images, self._card)

    def _accuracy(self, probabilities: NDArray[np.float32], card: ModelCard) -> Accuracy:
        metrics = measure(probabilities, self.truth, card.labels)
        right, reference_right = _right(probabilities, self.truth), _right(self.reference, self.truth)
        # Both at the file's temperature, so that only what quantizing changed differs.
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
    """Run sealed model `files` on `images` with the interpreter of devices; `title` stands before the bar."""
    read = [ModelFile.read(data) for data in files]
    return predict_images(lambda: [Classifier(file) for file in read], images, title)


def _right(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray(probabilities.argmax(1) == truth)


def _run_float(model: FloatModel, images: Sequence[LabelledImage], card: ModelCard) -> NDArray[np.float32]:
    """Return the float model's probabilities, computed in chunks that fit into memory."""
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


def _golden_examples(sealed: bytes, pixels: Sequence[NDArray[np.uint8]], tolerance: float) -> list[Golden]:
    """Return an example for each image, uint8 [height, width, 3], from a sealed file.

    Its tolerance is `tolerance`, or twice the largest difference of a probability between the runtime's own
    kernels and its delegate's, whichever is larger.
    """
    file = ModelFile.read(sealed)
    classifier = Classifier(file)
    plain = Classifier(file, loaded=Loaded(load_interpreter(sealed, 1, keep_all=True)))
    examples = []
    for image in pixels:
        expected = classifier.classify_pixels(image).probabilities
        difference = float(np.abs(plain.classify_pixels(image).probabilities - expected).max())
        examples.append(Golden(image, expected, max(tolerance, round(_MARGIN * difference, 3))))
    return examples
