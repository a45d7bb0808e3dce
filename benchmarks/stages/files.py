"""Pictures in files, from reading them to their answers."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle
from pathlib import Path

from ...edge.classifier import Classifier
from ...edge.cores import workers_of
from ...edge.errors import BenchmarkError, ImageError
from ...edge.modelfile import Normalization
from ...edge.runtime import Execution
from ...edge.sources.frames import FilePicture
from ..results.sections import Stages
from .job import Job, run_job
from .throughput import pictures_per_second
from .timing import StageTimes, spread, stage_spreads, time_stages, time_whole

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
