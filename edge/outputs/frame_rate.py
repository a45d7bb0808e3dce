"""Frames a second, of the last frames."""

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
        self._times: deque[float] = deque(maxlen=_WINDOW)

    def tick(self) -> float:
        """Count a frame, and return the rate; 0 until there are two."""
        self._times.append(self._clock())
        elapsed = self._times[-1] - self._times[0]
        return (len(self._times) - 1) / elapsed if elapsed > 0 else 0.0
