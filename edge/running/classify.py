"""One frame, all models."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..card import Preprocess
from ..classifier import Classifier, Prediction
from ..errors import ImageError
from ..sources.frames import Frame, picture_error


class ClassifiedFrame(NamedTuple):
    """The prediction of each model for one frame, in the models' order; none where there is `frame.error`.

    `decode_ms` are the milliseconds of decoding and resizing for each model, `finished` is time.monotonic()
    after the last of them. `damaged` is whether there was a picture that could not be decoded.
    """

    frame: Frame
    predictions: tuple[Prediction, ...]
    decode_ms: tuple[float, ...]
    finished: float
    damaged: bool = False


def classify_frame(frame: Frame, classifiers: Sequence[Classifier]) -> ClassifiedFrame:
    """Classify one frame with every model; a picture that cannot be decoded makes a frame with an error.

    Models with the same input share the pixels; each gets the pixels that it would get alone.
    Raises ModelFileError when a model cannot be run.
    """
    if frame.picture is None:
        return ClassifiedFrame(frame, (), (), time.monotonic())
    inputs: dict[tuple[tuple[int, int], Preprocess], tuple[NDArray[np.uint8], float]] = {}
    predictions, decode_ms = [], []
    for classifier in classifiers:
        key = classifier.size, classifier.preprocess
        try:
            if key not in inputs:
                started = time.perf_counter()
                made = classifier.to_pixels(frame.picture)
                inputs[key] = made, (time.perf_counter() - started) * 1000
        except ImageError as error:
            return ClassifiedFrame(picture_error(frame, error), (), (), time.monotonic(), damaged=True)
        pixels, elapsed = inputs[key]
        predictions.append(classifier.classify_pixels(pixels))
        decode_ms.append(elapsed)
    return ClassifiedFrame(frame, tuple(predictions), tuple(decode_ms), time.monotonic())


def classify_in_turn(frames: Iterable[Frame], classifiers: Sequence[Classifier]) -> Iterator[ClassifiedFrame]:
    """Classify frames one after the other, in this thread."""
    for frame in frames:
        yield classify_frame(frame, classifiers)
