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
from ...edge.cores import workers_of
from ...edge.errors import BenchmarkError, ImageError
from ...edge.image import to_input
from ...edge.modelfile import Normalization
from ...edge.running.look import look_in_turn
from ...edge.running.pool import look_in_parallel
from ...edge.runtime import Execution
from ...edge.sources.frames import FilePicture, Frame, Picture, decode_for_input
from ..results.result import Spread, Stages
from .job import Job, run_job

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


SECONDS = 1.0
_FEWEST = 16  # Different pictures, where there are so many: they differ in size.
_SETTLE = 4  # Pictures for each worker before and behind those that count, so that all workers are busy.


def pictures_per_second(
    classifier: Classifier, paths: Sequence[Path], workers: int, picture_ms: float
) -> float:
    """Return the rate of at least about SECONDS of work, in whole passes over the first of `paths`.

    `picture_ms` is what a picture takes one worker, which decides how many there are. With one worker they
    are looked at as edge-classify looks at a single photo, with several by its pool for folders. Raises
    ModelFileError when the model fails.
    """
    enough = math.ceil(SECONDS * 1000 / max(picture_ms, 0.001))
    chosen = paths[: max(_FEWEST, enough)]
    counted = len(chosen) * math.ceil(enough * workers / len(chosen))
    settle = _SETTLE * workers
    every = (Frame(str(path), FilePicture(path)) for path in cycle(chosen))
    frames = islice(every, settle + counted + settle)
    if workers == 1:
        looking = look_in_turn(frames, [classifier])
    else:
        looking = look_in_parallel(frames, [classifier], workers)
    finished = sorted(seen.finished for seen in looking)
    return counted / (finished[settle + counted - 1] - finished[settle - 1])


MOST_PICTURES = 200
_FEWEST_PICTURES = 20
_SECONDS = 30.0  # Then pictures are left out, where there were enough: photos of phones on a small board.
_WARM_UP_SECONDS = 0.5
_TIMEOUT_S = 900.0
_CHUNK = 1 << 20


def measure_stages(
    path: Path,
    execution: Execution,
    images: Sequence[Path],
    labels: tuple[str, ...] | None = None,
    normalization: Normalization | None = None,
    workers: int | None = None,
) -> Stages:
    """Measure a model's stages on pictures in files, in a process of its own.

    At most MOST_PICTURES are taken, evenly spread over `images`, and fewer where they take long. Their files
    are in the system's page cache: no disk is measured. `workers` is how many of them the second rate is
    measured with, None for as many as edge-classify takes for a folder. `labels` and `normalization` are for
    a model that carries none. Raises BenchmarkError when no picture can be read, or the model fails.
    """
    chosen = tuple(str(image) for image in sample(images))
    workers = workers or workers_of(execution.threads)
    return run_job(Job(str(path), execution, labels, normalization, chosen, workers), _TIMEOUT_S)


def sample(images: Sequence[Path], most: int = MOST_PICTURES) -> list[Path]:
    """Return so many pictures at most, evenly spread over those given, in an order by chance.

    So the first few of them show what all show, which counts where there is no time for more. The order is
    the same each time.
    """
    count = min(len(images), most)
    chosen = [images[number * len(images) // count] for number in range(count)]
    random.Random(0).shuffle(chosen)
    return chosen


class _Timed:
    """The pictures timed so far, what each took in ms, and why others could not be read."""

    def __init__(self) -> None:
        self.paths: list[Path] = []
        self.wholes: list[float] = []
        self.stages: list[StageTimes] = []
        self.problems: list[str] = []


def time_files(classifier: Classifier, paths: Sequence[Path], workers: int) -> Stages:
    """Measure in this process what measure_stages returns; `paths` are in an order by chance."""
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


def _time_pictures(classifier: Classifier, paths: Sequence[Path]) -> _Timed:
    """Time every picture twice: once as a whole, as the runner does it, and once by stages.

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
    """Let the processor reach its clock, and the libraries load what they load late."""
    end = time.monotonic() + _WARM_UP_SECONDS
    for path in cycle(paths):
        with suppress(ImageError):
            classifier.classify(path)
        if time.monotonic() > end:
            return


def _into_page_cache(path: Path) -> None:
    """Read a file once before it is timed; what cannot be read is found out later."""
    with suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                while file.read(_CHUNK):
                    pass


def _time_twice(classifier: Classifier, path: Path, whole_first: bool) -> tuple[float, StageTimes]:
    """The second time is a little faster, since the file is in the processor's cache: each is it in turn."""
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
