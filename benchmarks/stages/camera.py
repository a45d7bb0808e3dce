"""Stages of a camera's frames, from the wait for a frame to its answer."""

from __future__ import annotations

import math
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import NamedTuple

from ...edge.classifier import Classifier
from ...edge.errors import ImageError, SourceError
from ...edge.log import scrub
from ...edge.sources.addresses import keep_secrets
from ...edge.sources.camera import CameraOptions
from ...edge.sources.frames import Frame
from ...edge.sources.live import LiveSource
from ...edge.sources.opening import open_source
from ..results.result import Stages
from .files import StageTimes, spread, stage_spreads, time_stages

_FEWEST = 10  # Frames that are enough for a result, where not fewer were asked for.
_WARM_UP = 3


@dataclass(frozen=True)
class CameraRequest:
    """`frames` of the camera that `--camera name` opens, within `seconds`; `name` may hold a password."""

    name: str
    options: CameraOptions
    frames: int
    seconds: float


def time_camera(classifier: Classifier, request: CameraRequest) -> Stages:
    """Measure, in this process, the stages of a camera's frames, as measure.measure_camera describes them.

    Raises SourceError where the camera cannot be opened or gives too few frames, and ModelFileError where the
    model fails.
    """
    keep_secrets(request.name)
    notices: list[str] = []
    limit, frames = _Limit(), _TimedFrames()
    with closing(open_source(request.name, request.options, notices.append, limit.check)) as source:
        limit.end = time.monotonic() + request.seconds
        with suppress(_TimeUp):
            _time_frames(classifier, source, request.frames + _WARM_UP, frames, limit)
        skipped = frames.skipped + source.damaged
    timed = frames.timed[_WARM_UP:]
    if len(timed) < min(request.frames, _FEWEST):
        raise SourceError(_describe_too_few(source.name, len(timed), request, frames))
    return Stages(
        source=source.name,
        images=len(timed),
        **stage_spreads([frame.stages for frame in timed]),
        whole=spread([frame.whole for frame in timed]),
        per_second=round(len(timed) / (timed[-1].answered - timed[0].asked), 3),
        workers=1,
        per_second_all=None,
        waited=spread([frame.waited for frame in timed]),
        age=spread([frame.age for frame in timed]),
        skipped=skipped,
        remarks=tuple(scrub(text) for text in (*classifier.remarks, frames.lost, *notices) if text),
    )


class _TimeUp(Exception):
    """The camera had its time."""


class _Limit:
    """When the measuring has to end; it is checked while no frame comes, too."""

    def __init__(self) -> None:
        self.end = math.inf

    def check(self) -> None:
        if time.monotonic() > self.end:
            raise _TimeUp


class _TimedFrame(NamedTuple):
    """One frame's times in ms; `asked` and `answered` are seconds of time.monotonic()."""

    waited: float
    stages: StageTimes
    whole: float
    age: float
    asked: float
    answered: float


class _TimedFrames:
    """The frames so far; `lost` is the source's last message about a camera that was lost."""

    def __init__(self) -> None:
        self.timed: list[_TimedFrame] = []
        self.skipped = 0
        self.lost: str | None = None
        self.ended = False


def _time_frames(
    classifier: Classifier, source: LiveSource, wanted: int, found: _TimedFrames, limit: _Limit
) -> None:
    """Classify `wanted` frames, or those until the source ends; raises _TimeUp."""
    frames = iter(source)
    while len(found.timed) < wanted:
        limit.check()
        asked = time.monotonic()
        frame = next(frames, None)
        if frame is None:
            found.ended = True
            return
        if frame.picture is None:
            found.lost = frame.error
            continue
        try:
            found.timed.append(_time_frame(classifier, frame, asked))
        except ImageError:
            found.skipped += 1


def _time_frame(classifier: Classifier, frame: Frame, asked: float) -> _TimedFrame:
    """Classify a frame that has just come, and was asked for at `asked`."""
    assert frame.picture is not None and frame.grabbed is not None  # The caller checked, and it is live.
    taken = time.monotonic()
    stages = time_stages(classifier, frame.picture)
    answered = time.monotonic()
    waited, whole, age = taken - asked, answered - taken, answered - frame.grabbed
    return _TimedFrame(waited * 1000, stages, whole * 1000, age * 1000, asked, answered)


def _describe_too_few(name: str, count: int, request: CameraRequest, frames: _TimedFrames) -> str:
    skipped = f", and {frames.skipped} that could not be decoded" if frames.skipped else ""
    lost = f". {frames.lost}" if frames.lost else ""
    when = "before it ended" if frames.ended else f"within {request.seconds:g} s"
    pictures = f"{count} pictures of {request.frames} {when}{skipped}"
    return f"--camera {name} gave {pictures}: too few for a result{lost}"
