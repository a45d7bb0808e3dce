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


class Seen(NamedTuple):
    """What each model says about one frame, in the models' order; nothing where `frame.error` says why.

    `decode_ms` are what decoding and resizing cost for each model, `finished` is time.monotonic() after the
    last of them. `damaged` is whether there was a picture that could not be decoded.
    """

    frame: Frame
    predictions: tuple[Prediction, ...]
    decode_ms: tuple[float, ...]
    finished: float
    damaged: bool = False


def look(frame: Frame, classifiers: Sequence[Classifier]) -> Seen:
    """Classify one frame with every model; a picture that cannot be decoded makes a frame with an error.

    Models of the same input share the pixels; every model gets those that it would get alone.
    Raises ModelFileError when a model cannot be run.
    """
    if frame.picture is None:
        return Seen(frame, (), (), time.monotonic())
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
            return Seen(picture_error(frame, error), (), (), time.monotonic(), damaged=True)
        pixels, elapsed = inputs[key]
        predictions.append(classifier.classify_pixels(pixels))
        decode_ms.append(elapsed)
    return Seen(frame, tuple(predictions), tuple(decode_ms), time.monotonic())


def look_in_turn(frames: Iterable[Frame], classifiers: Sequence[Classifier]) -> Iterator[Seen]:
    """Classify frames one after the other, in this thread."""
    for frame in frames:
        yield look(frame, classifiers)
