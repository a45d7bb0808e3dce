"""Fewer answers: one every so many seconds, or only those that say something new."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from ..errors import OptionError
from ..sources.frames import Frame
from .result import Result

_ROUNDING = 0.001  # Seconds: players state a frame's place in a video to the millisecond.


def paced(frames: Iterable[Frame], every: float | None) -> Iterator[Frame]:
    """Return an iterator over one frame in `every` seconds on the frames' own clock; None means all of them.

    A source's first frame passes, then the first frame from each multiple of `every` after it, so that delays
    don't add up. Of a live source that is the newest one at that moment. Photos, which have no time, and
    errors always pass. Raises OptionError unless `every` is above 0.
    """
    if every is None:
        return iter(frames)
    if not (math.isfinite(every) and every > 0):
        raise OptionError(f"--every must be seconds, above 0. Received: {every}")
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
    """Lets results pass that say something else than the one before."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._seen: tuple[str, tuple[tuple[str, int | None], ...]] | None = None

    def passes(self, result: Result) -> bool:
        """Return whether any model's label differs from the last result of this source.

        A source's first result passes, and so do errors, what comes after them, and photos, which have no
        time.
        """
        if result.frame.error is not None:
            self._seen = None
            return True
        if result.frame.time is None:
            return True
        labels = tuple(
            (answer.model, None if answer.prediction.unknown else answer.prediction.best.index)
            for answer in result.answers
        )
        seen, self._seen = self._seen, (result.frame.source, labels)
        return seen != self._seen
