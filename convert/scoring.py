"""How much each variant lost: the interpreter of devices against the float model, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.scoring.confidence import answered_above, apply_temperature
from ..benchmarks.scoring.loss import AnyLoss, Loss
from ..benchmarks.scoring.predict import (
    Predictions,
    predict_images,
    read_pixels,
    top1_agreement,
    true_indices,
)
from ..benchmarks.scoring.split import SkippedImage
from ..benchmarks.scoring.statistics import expected_calibration_error, measure, shares_of_unknown
from ..edge.card import Accuracy, ModelCard
from ..edge.classifier import Classifier
from ..edge.cores import cores
from ..edge.errors import DatasetError
from ..edge.labelled import LabelledImage
from ..edge.modelfile import ModelFile
from ..edge.progress import progress
from ..edge.statistics.paired import mcnemar
from .fitted import FittedVariant, ValidationAnswers
from .output import loss_of
from .sources.job import FloatModel
from .variant import Variant

_CHUNK_PIXELS = 1 << 19  # MobileNetV2 in Keras takes 2 kB a pixel: 1 GB.


@dataclass(frozen=True)
class ScoredAnswers:
    """A variant's accuracy on labelled images, and its probabilities for them, float32 [images, classes]."""

    accuracy: Accuracy
    probabilities: NDArray[np.float32]


@dataclass(frozen=True)
class Scored:
    """A variant and its answers, which are None where there are no labelled images.

    `estimated_loss` may then be the loss on other images. `validation` holds the answers to the validation
    images, `unlabelled` those to images of unknown classes, indices int64 [images]. To `compared` of these
    images, `differing` answers are not the float32 file's.
    """

    variant: Variant
    answers: ScoredAnswers | None
    estimated_loss: AnyLoss | None = None
    validation: ValidationAnswers | None = None
    unlabelled: NDArray[np.int64] | None = None
    differing: int = 0
    compared: int = 0

    @property
    def accuracy(self) -> Accuracy | None:
        """The measured accuracy; None where nothing was scored."""
        return self.answers.accuracy if self.answers else None

    @property
    def loss(self) -> AnyLoss | None:
        """The top-1 accuracy lost to the float model, measured or else estimated; None where not known."""
        loss = loss_of(self.accuracy, self.estimated_loss)
        if not isinstance(loss, Loss):
            return loss
        differing, compared = loss.differing + self.differing, loss.compared + self.compared
        return replace(loss, differing=differing, compared=compared)

    def compared_with(self, float32: Scored) -> Scored:
        """Return it with the number of answers that are not the float32 file's, on images not scored on."""
        pairs = []
        if self.validation is not None and float32.validation is not None:
            pairs.append((self.validation.answers, float32.validation.answers))
        if self.unlabelled is not None and float32.unlabelled is not None:
            pairs.append((self.unlabelled, float32.unlabelled))
        differing = sum(int((mine != theirs).sum()) for mine, theirs in pairs)
        return replace(self, differing=differing, compared=sum(len(mine) for mine, _ in pairs))


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
        return float(self.reference_right.mean()) if len(self.truth) else None

    def right(self, scored: Scored) -> NDArray[np.bool_] | None:
        """Return which of the scored images a variant has right, bool [images]; None where it has none."""
        return None if scored.answers is None else _right(scored.answers.probabilities, self.truth)

    @property
    def reference_right(self) -> NDArray[np.bool_]:
        """Which of the scored images the float model has right, bool [images]."""
        return _right(self.reference, self.truth)

    def score(self, variants: Sequence[FittedVariant]) -> list[Scored]:
        """Run the variants on the images.

        Raises DatasetError when none of the images can be read; single unreadable ones are skipped.
        """
        if not self._images:
            return [Scored(item.variant, None, validation=item.validation) for item in variants]
        files = [item.variant.sealed for item in variants]
        predictions = predict_files(files, self._images, f"scoring {self._card.name}")
        self._learn_reference(predictions)
        answers = zip(variants, predictions.probabilities, predictions.unknown, strict=True)
        return [
            Scored(
                item.variant,
                ScoredAnswers(self._accuracy(probabilities, unknown, item.variant.card), probabilities),
                validation=item.validation,
            )
            for item, probabilities, unknown in answers
        ]

    @property
    def one_of_each_class(self) -> list[LabelledImage]:
        """The first image of each class that was scored; empty where nothing was."""
        _, first = np.unique(self.truth, return_index=True)
        return [self._images[i] for i in first]

    def _learn_reference(self, predictions: Predictions) -> None:
        if not predictions.images:
            raise DatasetError(f"None of the {len(self._images)} images of {self._dataset} can be read")
        if len(self.truth) and len(predictions.images) != len(self.truth):  # It was read a minute ago.
            raise DatasetError(predictions.skipped[0].reason)
        if not len(self.truth):
            self.skipped, self._images = predictions.skipped, predictions.images
            self.truth = true_indices(predictions.images, self._card.labels)
            self.reference = _run_float(self._model, predictions.images, self._card)

    def _accuracy(
        self, probabilities: NDArray[np.float32], unknown: NDArray[np.bool_], card: ModelCard
    ) -> Accuracy:
        metrics, right = measure(probabilities, self.truth, card.labels), _right(probabilities, self.truth)
        test = mcnemar(self.reference_right, right)
        shares = shares_of_unknown(unknown, right) if card.output.unknown else None
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
            keras_difference=metrics.accuracy - float(self.reference_right.mean()),
            ece_uncalibrated=expected_calibration_error(self.reference, self.truth),
            coverage=coverage,
            selective_accuracy=selective_accuracy,
            mean_difference=round(float(differences.mean()), 4),
            largest_difference=round(float(differences.max()), 4),
            p_value=test.p_value,
            only_float=test.only_a,
            only_this=test.only_b,
            chance=metrics.chance,
            above_chance_p=metrics.above_chance_p,
            unknown=shares.images if shares else None,
            lost_to_unknown=shares.right if shares else None,
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
