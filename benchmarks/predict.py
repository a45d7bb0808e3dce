"""Runs model files over labelled images, on every core, decoding each image once for all models."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..edge.card import InputSpec, Preprocess
from ..edge.classifier import Classifier
from ..edge.cores import cores
from ..edge.errors import ImageError
from ..edge.image import load_input
from ..edge.progress import progress
from .split import LabelledImage, SkippedImage, read_labelled

Load = Callable[[], list[Classifier]]


@dataclass(frozen=True)
class Predictions:
    """`probabilities[model]` is float32 [images, classes]; `images` those that could be read, in order."""

    probabilities: list[NDArray[np.float32]]
    images: list[LabelledImage]
    skipped: list[SkippedImage]


def read_pixels(image: LabelledImage, spec: InputSpec, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Return an image as the model's input, uint8 [height, width, 3]; raises ImageError naming it."""
    try:
        return load_input(read_labelled(image), spec, preprocess)
    except ImageError as error:
        text = str(error)
        raise ImageError(text if str(image.path) in text else f"{image.path}: {text}") from None


def predict_images(load: Load, images: Sequence[LabelledImage], description: str) -> Predictions:
    """Classify all images with all models; images that cannot be read are skipped and listed.

    `load` is called once in every worker thread, since each needs classifiers of its own.
    """
    own = threading.local()

    def classify(image: LabelledImage) -> list[NDArray[np.float32]] | SkippedImage:
        if not hasattr(own, "classifiers"):
            own.classifiers = load()
        inputs: dict[tuple[InputSpec, Preprocess], NDArray[np.uint8]] = {}
        rows = []
        for classifier in own.classifiers:
            # The dtype is the tensor's, and pixels are uint8 for all.
            spec = InputSpec(classifier.spec.height, classifier.spec.width, "uint8")
            key = (spec, classifier.preprocess)
            if key not in inputs:
                try:
                    inputs[key] = read_pixels(image, *key)
                except ImageError as error:
                    return SkippedImage(str(image.path), str(error))
            rows.append(classifier.classify_pixels(inputs[key], 1).probabilities)
        return rows

    done, skipped, rows = [], [], []
    pool = ThreadPoolExecutor(cores())
    try:
        with progress(description, len(images), "images") as advance:
            for image, outcome in zip(images, pool.map(classify, images), strict=True):
                advance()
                if isinstance(outcome, SkippedImage):
                    skipped.append(outcome)
                else:
                    done.append(image)
                    rows.append(outcome)
    finally:
        pool.shutdown(cancel_futures=True)
    return Predictions([np.stack(column) for column in zip(*rows, strict=True)], done, skipped)


def top1_agreement(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the share of rows whose highest class is the same; raises ZeroDivisionError for no rows."""
    return float((one.argmax(1) == other.argmax(1)).sum() / len(one))


def true_indices(images: Sequence[LabelledImage], labels: tuple[str, ...]) -> NDArray[np.int64]:
    """Return each image's class as an index into `labels`; raises KeyError for a class not among them."""
    index = {label: i for i, label in enumerate(labels)}
    return np.array([index[image.label] for image in images], np.int64)
