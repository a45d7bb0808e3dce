"""Fewer answers: one frame in every N seconds, or only answers that changed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from ..classifier import Doubt
from ..errors import OptionError
from ..sources.frames import Frame
from .result import FrameResult

_ROUNDING = 0.001  # Seconds: the time of a frame in a video is known to the millisecond.


def paced(frames: Iterable[Frame], every: float | None) -> Iterator[Frame]:
    """Return an iterator over one frame in `every` seconds of the frames' own time; None means all frames.

    The first frame of a source passes, then the first frame after each multiple of `every` since then, so
    that delays don't add up. Photos, which have no time, and errors always pass. Raises OptionError unless
    `every` is above 0.
    """
    if every is None:
        return iter(frames)
    if not (math.isfinite(every) and every > 0):
        raise OptionError(f"--every must be a number of seconds above 0. Received: {every}")
    return _one_each(frames, every)


def _one_each(frames: Iterable[Frame], every: float) -> Iterator[Frame]:
    source: str | None = None
    first = due = latest = 0.0
    for frame in frames:
        time = frame.time
        if time is None or frame.error is not None:
            yield frame
            continue
        if frame.source != source or time < latest:
            source, first, due = frame.source, time, time
        latest = time
        if time + _ROUNDING >= due:
            due = first + every * (math.floor((time + _ROUNDING - first) / every) + 1)
            yield frame


class OnChange:
    """Selects the results whose labels differ from those of the result before."""

    def __init__(self) -> None:
        """Begin without a result."""
        self._last: tuple[str, tuple[tuple[str, int | Doubt], ...]] | None = None

    def passes(self, result: FrameResult) -> bool:
        """Return whether any model's label differs from that of the last result of the same source.

        Errors pass, and so do the first result of a source, the first one after an error, and photos, which
        have no time.
        """
        if result.frame.error is not None:
            self._last = None
            return True
        if result.frame.time is None:
            return True
        labels = tuple(
            (answer.model, answer.prediction.doubt or answer.prediction.best.index)
            for answer in result.answers
        )
        last, self._last = self._last, (result.frame.source, labels)
        return last != self._last
