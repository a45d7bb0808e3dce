"""When each frame of a video is shown: by its own time stamp, also at a variable frame rate."""

from __future__ import annotations

from typing import Any

_MAX_RATE = 1000.0  # Frames/s. Files that state more, such as 90,000, state the unit of their time stamps.
_MIN_RATE = 1e-6  # A frame in eleven days: files that state fewer state nothing.
_LATEST = 1e9  # Seconds: 30 years. A later time stamp is none.


class VideoClock:
    """The presentation times of the frames of an open cv2.VideoCapture, in seconds since its first frame."""

    def __init__(self, cv2: Any, capture: Any) -> None:
        """Watch `capture`, of which no frame has been timed yet."""
        self._capture = capture
        self._position = cv2.CAP_PROP_POS_MSEC
        rate = capture.get(cv2.CAP_PROP_FPS)
        # Frames per second as the file states them; None where it states none.
        self.rate = float(rate) if _MIN_RATE <= rate <= _MAX_RATE else None
        # Seconds from the frame before to the last one; at first by the rate, 0 where it is unknown.
        self.interval = 1 / self.rate if self.rate else 0.0
        self._first: float | None = None
        self._last = 0.0

    def next_time(self) -> float | None:
        """Return the time of the frame that was just grabbed; call it once for each frame.

        OpenCV gives 0 where a frame has no time stamp: for all frames of a stream without a container, and in
        old versions for the last frames of a video with B-frames. Such a frame comes one interval after the
        frame before it; None where the file states neither time stamps nor a rate. Time never runs backwards.
        """
        stamp = float(self._capture.get(self._position)) / 1000
        if not abs(stamp) < _LATEST:  # Also NaN: a unit of time stamps that is 0 divides by it.
            stamp = 0.0
        if self._first is None:
            self._first = stamp
            return 0.0
        if stamp == 0 and not self.interval:
            return None
        time = max(stamp - self._first, self._last) if stamp else self._last + self.interval
        if time > self._last:
            self.interval = time - self._last
        self._last = time
        return time
