"""A camera's frames, from waiting for one to its answer."""

from __future__ import annotations

import math
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from ...edge.classifier import Classifier
from ...edge.errors import ImageError, SourceError
from ...edge.log import scrub
from ...edge.modelfile import Normalization
from ...edge.runtime import Execution
from ...edge.sources.addresses import keep_secrets
from ...edge.sources.camera import CameraOptions
from ...edge.sources.frames import Frame
from ...edge.sources.grabber import OPEN_LIMIT
from ...edge.sources.live import LiveSource
from ...edge.sources.opening import open_source
from ..results.result import Stages
from .files import StageTimes, spread, stage_spreads, time_stages
from .job import CameraJob, Job, run_job

FRAMES = 100
SECONDS = 60.0
_FEWEST = 10  # Frames that tell something, where not fewer were asked for.
_WARM_UP = 3
_SLACK_SECONDS = 60.0  # For starting the process, loading the model, and a driver that is slow to let go.


def measure_camera(
    path: Path,
    execution: Execution,
    source: str,
    frames: int = FRAMES,
    options: CameraOptions = CameraOptions(),  # noqa: B008 - frozen.
    labels: tuple[str, ...] | None = None,
    normalization: Normalization | None = None,
    seconds: float = SECONDS,
) -> Stages:
    """Measure a model's stages on what `--camera source` sees, in a process of its own.

    As edge-classify does, it takes the newest frame each time: `frames` of them, or as many as come within
    `seconds`. `whole` is the time from taking a frame to its answer, and `age` that from its arrival, which
    may have been while the one before was looked at. Raises SourceError when the camera cannot be opened or
    gives too few frames, BenchmarkError when the model fails.
    """
    keep_secrets(source)
    camera = CameraJob(source, options, frames, seconds)
    job = Job(str(path), execution, labels, normalization, camera=camera)
    return run_job(job, OPEN_LIMIT + seconds + _SLACK_SECONDS)


class _TimeUp(Exception):
    """The camera had its time."""


class _Limit:
    """When the measuring has to end; it is checked while nothing comes, too."""

    def __init__(self) -> None:
        self.end = math.inf

    def check(self) -> None:
        if time.monotonic() > self.end:
            raise _TimeUp


class _Looked(NamedTuple):
    """One frame, in ms; `asked` and `answered` are time.monotonic()."""

    waited: float
    stages: StageTimes
    whole: float
    age: float
    asked: float
    answered: float


class _Tally:
    """What came of the frames so far; `lost` is what was said last of a camera that went away."""

    def __init__(self) -> None:
        self.looked: list[_Looked] = []
        self.skipped = 0
        self.lost: str | None = None
        self.ended = False


def time_camera(classifier: Classifier, job: CameraJob) -> Stages:
    """Measure in this process what measure_camera returns; raises SourceError and ModelFileError."""
    keep_secrets(job.name)
    said: list[str] = []
    limit, tally = _Limit(), _Tally()
    with closing(open_source(job.name, job.options, said.append, limit.check)) as source:
        limit.end = time.monotonic() + job.seconds
        with suppress(_TimeUp):
            _look_at_frames(classifier, source, job.frames + _WARM_UP, tally, limit)
        skipped = tally.skipped + source.damaged
    looked = tally.looked[_WARM_UP:]
    if len(looked) < min(job.frames, _FEWEST):
        raise SourceError(_describe_too_few(source.name, len(looked), job, tally))
    return Stages(
        source=source.name,
        images=len(looked),
        **stage_spreads([frame.stages for frame in looked]),
        whole=spread([frame.whole for frame in looked]),
        per_second=round(len(looked) / (looked[-1].answered - looked[0].asked), 3),
        workers=1,
        per_second_all=None,
        waited=spread([frame.waited for frame in looked]),
        age=spread([frame.age for frame in looked]),
        skipped=skipped,
        remarks=tuple(scrub(text) for text in (*classifier.remarks, tally.lost, *said) if text),
    )


def _look_at_frames(
    classifier: Classifier, source: LiveSource, wanted: int, tally: _Tally, limit: _Limit
) -> None:
    """Classify so many frames, or until the source ends; raises _TimeUp."""
    frames = iter(source)
    while len(tally.looked) < wanted:
        limit.check()
        asked = time.monotonic()
        frame = next(frames, None)
        if frame is None:
            tally.ended = True
            return
        if frame.picture is None:
            tally.lost = frame.error
            continue
        try:
            tally.looked.append(_look(classifier, frame, asked))
        except ImageError:
            tally.skipped += 1


def _look(classifier: Classifier, frame: Frame, asked: float) -> _Looked:
    """Classify a frame that was asked for then, and has just come."""
    assert frame.picture is not None and frame.grabbed is not None  # The caller checked, and it is live.
    taken = time.monotonic()
    stages = time_stages(classifier, frame.picture)
    answered = time.monotonic()
    waited, whole, age = taken - asked, answered - taken, answered - frame.grabbed
    return _Looked(waited * 1000, stages, whole * 1000, age * 1000, asked, answered)


def _describe_too_few(name: str, count: int, job: CameraJob, tally: _Tally) -> str:
    """Return a sentence on a camera that gave hardly anything."""
    skipped = f", and {tally.skipped} that could not be decoded" if tally.skipped else ""
    lost = f". {tally.lost}" if tally.lost else ""
    when = "before it ended" if tally.ended else f"within {job.seconds:g} s"
    given = f"{count} pictures of {job.frames} {when}{skipped}"
    return f"--camera {name} gave {given}: too few to tell anything{lost}"
