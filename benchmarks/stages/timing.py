"""One picture on its way through the runner's own functions, timed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...edge.classifier import Classifier
from ...edge.image import to_input
from ...edge.sources.frames import Picture, decode_for_input
from ..results.sections import Spread

_TOP = 3  # As many labels as edge-classify tells by default.


class StageTimes(NamedTuple):
    """Milliseconds of each stage, see results.sections.Stages."""

    decode: float
    resize: float
    invoke: float
    post: float


def time_whole(classifier: Classifier, picture: Picture) -> float:
    """Return milliseconds from the picture to its answer; raises ImageError and ModelFileError."""
    started = time.perf_counter()
    classifier.classify(picture, _TOP)
    return (time.perf_counter() - started) * 1000


def time_stages(classifier: Classifier, picture: Picture) -> StageTimes:
    """Classify the picture as Classifier.classify does, step by step; raises as time_whole."""
    clock = time.perf_counter
    began = clock()
    image, box = decode_for_input(picture, classifier.spec)
    decoded = clock()
    tensor = classifier.prepare(to_input(image, classifier.spec, classifier.preprocess, box))
    resized = clock()
    classifier.invoke(tensor)
    invoked = clock()
    classifier.answer(_TOP, resized)
    answered = clock()
    seconds = (decoded - began, resized - decoded, invoked - resized, answered - invoked)
    return StageTimes(*(value * 1000 for value in seconds))


def stage_spreads(rows: Sequence[StageTimes]) -> dict[str, Spread]:
    """Return each stage's distribution over at least one picture, by its name."""
    return {name: spread([getattr(row, name) for row in rows]) for name in StageTimes._fields}


def spread(values: Sequence[float]) -> Spread:
    """Return the distribution of at least one time in ms; percentiles are interpolated linearly."""
    median, p90, p99, maximum = (round(float(v), 4) for v in np.percentile(values, (50, 90, 99, 100)))
    return Spread(median, p90, p99, maximum)
