"""Runs model files over labelled images, on every core, decoding each image once for all models."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...edge.card import InputSpec, Preprocess
from ...edge.classifier import Classifier, Prediction
from ...edge.cores import cores
from ...edge.errors import ImageError, ModelFileError
from ...edge.foreign import ForeignFacts
from ...edge.image import load_input
from ...edge.image_file import require_known
from ...edge.labelled import LabelledImage
from ...edge.modelfile import ModelFile, Normalization
from ...edge.progress import progress
from .split import SkippedImage, read_labelled

Load = Callable[[], list[Classifier]]
# Gives pixels 0..255 as they are to a model without a card: its scaling is inside the graph.
RAW_PIXELS = Normalization((0.0,), (1.0,))
RAW_FACTS = ForeignFacts(normalization=RAW_PIXELS)
T = TypeVar("T")


@dataclass(frozen=True)
class Predictions:
    """`probabilities[model]` is float32 [images, classes], and `unknown[model]` which images are answered so.

    The latter is bool [images], all False for a model that has no output for unknown things. `images` are
    those that could be read, in order; the others are `skipped`.
    """

    probabilities: list[NDArray[np.float32]]
    unknown: list[NDArray[np.bool_]]
    images: list[LabelledImage]
    skipped: list[SkippedImage]


class TopAnswers(NamedTuple):
    """One model's answers to images, each field [images].

    `guess` is the class, int64. `rank`, int64, is the number of classes before the true class, 0 where the
    answer is right; of equal classes the lower index comes first. `confidence` is the answer's probability,
    float64. `unknown`, bool, is whether the model says that the image shows none of the classes.
    """

    guess: NDArray[np.int64]
    rank: NDArray[np.int64]
    confidence: NDArray[np.float64]
    unknown: NDArray[np.bool_]


@dataclass(frozen=True)
class AnswersByModel:
    """`answers[model]` holds the model's answers, or the error of a model that could not be run.

    `images` are those that could be read, in order; the others are `skipped`.
    """

    answers: list[TopAnswers | ModelFileError]
    images: list[LabelledImage]
    skipped: list[SkippedImage]


def read_pixels(image: LabelledImage, spec: InputSpec, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Return an image as the model's input, uint8 [height, width, 3]; raises ImageError naming it."""
    if image.sha256 is None:  # Training has not looked at it, and a film would not fit into memory.
        require_known(image.path)
    raw = read_labelled(image)
    try:
        return load_input(raw, spec, preprocess)
    except ImageError as error:  # It calls bytes "image".
        raise ImageError(f"{image.path}{str(error).removeprefix('image')}") from None


def predict_images(load: Load, images: Sequence[LabelledImage], description: str) -> Predictions:
    """Classify all images with all models; images that cannot be read are skipped and listed.

    `load` is called once in every worker thread, since each needs its own classifiers. `description` stands
    before the progress bar. Raises ModelFileError as Classifier does.
    """

    def run(classifier: Classifier, pixels: NDArray[np.uint8], _: str) -> Prediction:
        return classifier.classify_pixels(pixels, 1)

    found = _run_on_all(load, images, description, run)
    probabilities = [np.stack([each.probabilities for each in column]) for column in found.columns]
    unknown = [np.array([each.unknown for each in column], np.bool_) for column in found.columns]
    return Predictions(probabilities, unknown, found.images, found.skipped)


def answer_images(load: Load, images: Sequence[LabelledImage], description: str) -> AnswersByModel:
    """Classify as `predict_images` does, keeping three numbers of an image instead of all probabilities.

    Every model must know every image's label. A model that fails on an image has no answers; the others do.
    """

    def run(classifier: Classifier, pixels: NDArray[np.uint8], label: str) -> _TopAnswer | ModelFileError:
        try:
            predicted = classifier.classify_pixels(pixels, 1)
        except ModelFileError as error:
            return error
        p = predicted.probabilities
        true, guess = classifier.labels.index(label), int(p.argmax())
        before = np.count_nonzero(p > p[true]) + np.count_nonzero(p[:true] == p[true])
        return guess, int(before), float(p[guess]), predicted.unknown

    found = _run_on_all(load, images, description, run)
    return AnswersByModel([_to_answers(column) for column in found.columns], found.images, found.skipped)


_TopAnswer = tuple[int, int, float, bool]  # One row of TopAnswers.


def _to_answers(column: Sequence[_TopAnswer | ModelFileError]) -> TopAnswers | ModelFileError:
    rows = []
    for row in column:
        if isinstance(row, ModelFileError):
            return row
        rows.append(row)
    guess, rank, confidence, unknown = zip(*rows, strict=True) if rows else ((), (), (), ())
    return TopAnswers(
        np.array(guess, np.int64),
        np.array(rank, np.int64),
        np.array(confidence, np.float64),
        np.array(unknown, np.bool_),
    )


@dataclass(frozen=True)
class _Found(Generic[T]):
    """`columns[model]` has one result for each of the `images`."""

    columns: list[tuple[T, ...]]
    images: list[LabelledImage]
    skipped: list[SkippedImage]


def _run_on_all(
    load: Load,
    images: Sequence[LabelledImage],
    description: str,
    run: Callable[[Classifier, NDArray[np.uint8], str], T],
) -> _Found[T]:
    """Return the results of `run`, which gets a model, the pixels of an image, and its label."""
    own = threading.local()

    def run_models(image: LabelledImage) -> list[T] | SkippedImage:
        if not hasattr(own, "classifiers"):
            own.classifiers = load()
        inputs: dict[tuple[InputSpec, Preprocess], NDArray[np.uint8]] = {}
        rows = []
        for classifier in own.classifiers:
            # The tensor's dtype may differ, but pixels are uint8 for all models.
            spec = InputSpec(classifier.spec.height, classifier.spec.width, "uint8")
            key = (spec, classifier.preprocess)
            if key not in inputs:
                try:
                    inputs[key] = read_pixels(image, *key)
                except ImageError as error:
                    return SkippedImage(str(image.path), str(error))
            rows.append(run(classifier, inputs[key], image.label))
        return rows

    done, skipped, rows = [], [], []
    pool = ThreadPoolExecutor(cores())
    try:
        with progress(description, len(images), "images") as advance:
            for image, outcome in zip(images, pool.map(run_models, images), strict=True):
                advance()
                if isinstance(outcome, SkippedImage):
                    skipped.append(outcome)
                else:
                    done.append(image)
                    rows.append(outcome)
    finally:
        pool.shutdown(cancel_futures=True)
    return _Found(list(zip(*rows, strict=True)), done, skipped)


def run_on_pixels(
    model: Path | bytes, pixels: NDArray[np.uint8], facts: ForeignFacts = RAW_FACTS
) -> NDArray[np.float32]:
    """Return a model's output values, whatever they mean, for RGB pixels, uint8 [images, height, width, 3].

    They are float32 [images, outputs]. The model must have no card. Each core runs its own interpreter.
    Raises ModelFileError as Classifier does.
    """
    file = ModelFile.read(model)
    parts = [part for part in np.array_split(np.arange(len(pixels)), cores()) if part.size]

    def run(part: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        classifier = Classifier(file, facts)
        rows = []
        for index in part:
            classifier.invoke(classifier.prepare(pixels[index]))
            rows.append(classifier.read_output())
        return rows

    with ThreadPoolExecutor(len(parts)) as pool:
        return np.stack([row for rows in pool.map(run, parts) for row in rows])


def top1_agreement(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the share of rows whose highest class is the same; raises ZeroDivisionError for no rows."""
    return float((one.argmax(1) == other.argmax(1)).sum() / len(one))


def true_indices(images: Sequence[LabelledImage], labels: tuple[str, ...]) -> NDArray[np.int64]:
    """Return each image's class as an index into `labels`; raises KeyError for a class not among them."""
    index = {label: i for i, label in enumerate(labels)}
    return np.array([index[image.label] for image in images], np.int64)
