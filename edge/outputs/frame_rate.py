"""Frames a second, of the last frames and of the whole run."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_WINDOW = 30


class FrameRate:
    """Frames a second over the last 30 frames."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with no frames seen; `clock` gives seconds."""
        self._clock = clock
        self._began = clock()
        self._times: deque[float] = deque(maxlen=_WINDOW)
        self.count = 0

    def tick(self) -> float:
        """Count a frame, and return the rate; 0 until there are two."""
        self.count += 1
        self._times.append(self._clock())
        elapsed = self._times[-1] - self._times[0]
        return (len(self._times) - 1) / elapsed if elapsed > 0 else 0.0

    def summary(self) -> str:
        """Return what came of the whole run, as "120 frames in 4.1 s: 29.3 frames/s"."""
        elapsed = self._clock() - self._began
        rate = self.count / elapsed if elapsed > 0 else 0.0
        return f"{self.count} frames in {elapsed:.1f} s: {rate:.1f} frames/s"
