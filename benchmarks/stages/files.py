"""Stages of pictures in files: decode, resize, invoke, post-process, and how many pictures a second."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...edge.classifier import Classifier
from ...edge.errors import BenchmarkError, ImageError
from ...edge.image import to_input
from ...edge.running.classify import classify_in_turn
from ...edge.running.pool import classify_in_parallel
from ...edge.sources.frames import FilePicture, Frame, Picture, decode_for_input
from ..results.result import Spread, Stages

MOST_PICTURES = 200
_FEWEST_PICTURES = 20
_SECONDS = (
    30.0  # After these no more pictures are timed, if there are enough: a small board, photos of phones.
)
_WARM_UP_SECONDS = 0.5
_CHUNK = 1 << 20
_TOP = 3  # As many labels as edge-classify shows by default.
_RATE_SECONDS = 1.0  # Of work, to measure the pictures a second.
_FEWEST_DIFFERENT = 16  # Different pictures in the rate, where there are so many: they differ in size.
_SETTLE = 4  # Pictures for each worker before and after the timed ones, so that all workers are busy.


class StageTimes(NamedTuple):
    """Milliseconds of each stage, as in results.result.Stages."""

    decode: float
    resize: float
    invoke: float
    post: float


def sample(images: Sequence[Path], most: int = MOST_PICTURES) -> list[Path]:
    """Return at most `most` of the pictures, evenly spread, in a random order that is the same each time.

    So the first few stand for all, where there is no time for more.
    """
    count = min(len(images), most)
    chosen = [images[number * len(images) // count] for number in range(count)]
    random.Random(0).shuffle(chosen)
    return chosen


def time_files(classifier: Classifier, paths: Sequence[Path], workers: int) -> Stages:
    """Measure, in this process, the stages of pictures in random order, and the rate of `workers`.

    Raises BenchmarkError where no picture can be read, and ModelFileError where the model fails.
    """
    _warm_up(classifier, paths)
    timed = _time_pictures(classifier, paths)
    whole = spread(timed.wholes)
    alone = pictures_per_second(classifier, timed.paths, 1, whole.median)
    together = alone
    if workers > 1:
        together = pictures_per_second(classifier, timed.paths, workers, whole.median)
    return Stages(
        source="files",
        images=len(timed.paths),
        **stage_spreads(timed.stages),
        whole=whole,
        per_second=round(alone, 3),
        workers=workers,
        per_second_all=round(together, 3),
        skipped=len(timed.problems),
        remarks=(*classifier.remarks, *_describe_skipped(timed)),
    )


class _Timed:
    """The pictures timed so far, their times in ms, and why others could not be read."""

    def __init__(self) -> None:
        self.paths: list[Path] = []
        self.wholes: list[float] = []
        self.stages: list[StageTimes] = []
        self.problems: list[str] = []


def _time_pictures(classifier: Classifier, paths: Sequence[Path]) -> _Timed:
    """Time every picture twice: as a whole, as the runner classifies it, and by stages.

    Raises BenchmarkError where none can be read.
    """
    timed = _Timed()
    end = time.monotonic() + _SECONDS
    for path in paths:
        if len(timed.paths) >= _FEWEST_PICTURES and time.monotonic() > end:
            break
        _into_page_cache(path)
        try:
            whole, stages = _time_twice(classifier, path, whole_first=len(timed.paths) % 2 == 0)
        except ImageError as error:
            timed.problems.append(str(error))
            continue
        timed.paths.append(path)
        timed.wholes.append(whole)
        timed.stages.append(stages)
    if not timed.paths:
        first = f". The first: {timed.problems[0]}" if timed.problems else ""
        raise BenchmarkError(f"none of the {len(paths)} pictures could be read to time a model on{first}")
    return timed


def _warm_up(classifier: Classifier, paths: Sequence[Path]) -> None:
    """Let the processor reach its highest clock, and the libraries load their parts."""
    end = time.monotonic() + _WARM_UP_SECONDS
    for path in cycle(paths):
        with suppress(ImageError):
            classifier.classify(path)
        if time.monotonic() > end:
            return


def _into_page_cache(path: Path) -> None:
    """Read a file once before it is timed; an unreadable one is reported later."""
    with suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                while file.read(_CHUNK):
                    pass


def _time_twice(classifier: Classifier, path: Path, whole_first: bool) -> tuple[float, StageTimes]:
    """Time a picture both ways. The second is a little faster, with the file in the processor's cache."""
    picture = FilePicture(path)
    if whole_first:
        return time_whole(classifier, picture), time_stages(classifier, picture)
    times = time_stages(classifier, picture)
    return time_whole(classifier, picture), times


def _describe_skipped(timed: _Timed) -> tuple[str, ...]:
    if not timed.problems:
        return ()
    skipped, tried = len(timed.problems), len(timed.problems) + len(timed.paths)
    first = timed.problems[0]
    return (f"{skipped} of {tried} pictures could not be read, and are left out. The first: {first}",)


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


def pictures_per_second(
    classifier: Classifier, paths: Sequence[Path], workers: int, picture_ms: float
) -> float:
    """Return the rate over about a second of work, in whole passes over the first of `paths`.

    `picture_ms` is the time of one picture, from which the number of pictures follows. One worker classifies
    them as edge-classify does a single photo, several as its pool for folders does. Raises ModelFileError
    where the model fails.
    """
    enough = math.ceil(_RATE_SECONDS * 1000 / max(picture_ms, 0.001))
    chosen = paths[: max(_FEWEST_DIFFERENT, enough)]
    counted = len(chosen) * math.ceil(enough * workers / len(chosen))
    settle = _SETTLE * workers
    every = (Frame(str(path), FilePicture(path)) for path in cycle(chosen))
    frames = islice(every, settle + counted + settle)
    if workers == 1:
        classified = classify_in_turn(frames, [classifier])
    else:
        classified = classify_in_parallel(frames, [classifier], workers)
    finished = sorted(frame.finished for frame in classified)
    return counted / (finished[settle + counted - 1] - finished[settle - 1])
