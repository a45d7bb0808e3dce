"""The frame rate of a live source."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_WINDOW = 30


class FrameRate:
    """Frames per second over the last 30 frames."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without frames; `clock` returns seconds."""
        self._clock = clock
        self._times: deque[float] = deque(maxlen=_WINDOW)

    def tick(self) -> float:
        """Count a frame, and return the rate; 0 before the second frame."""
        self._times.append(self._clock())
        elapsed = self._times[-1] - self._times[0]
        return (len(self._times) - 1) / elapsed if elapsed > 0 else 0.0
