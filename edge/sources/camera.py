"""What live sources are made of: an opened camera, its shots, and how people want it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..errors import OptionError
from .frames import Picture

# Without a picture for so long a camera counts as lost, where `frozen_after` doesn't say otherwise.
DEFAULT_PATIENCE = 10.0
_MAX_SIDE = 16_384
_MAX_FPS = 1000.0
_TURNS = (0, 90, 180, 270)


@dataclass(frozen=True)
class CameraOptions:
    """How a camera is to be opened and watched.

    `size` is (width, height) in pixels and `fps` frames a second, both None for what the camera gives by
    itself. A local camera is asked for them; of streams and videos, `fps` limits how many frames are looked
    at, and a size cannot be asked for. `rotate` turns pictures clockwise, in degrees. A camera that has shown
    the same picture for `frozen_after` seconds, or none, counts as lost; with 0 a picture may stand still.
    Raises OptionError.
    """

    size: tuple[int, int] | None = None
    fps: float | None = None
    rotate: int = 0
    frozen_after: float = DEFAULT_PATIENCE

    def __post_init__(self) -> None:
        """Check the values."""
        if self.size is not None and not all(1 <= side <= _MAX_SIDE for side in self.size):
            width, height = self.size
            raise OptionError(f"--size must be 1x1 to {_MAX_SIDE}x{_MAX_SIDE}. Received: {width}x{height}")
        if self.fps is not None and not 0 < self.fps <= _MAX_FPS:
            raise OptionError(f"--fps must be above 0 and at most {_MAX_FPS:g}. Received: {self.fps:g}")
        if self.rotate not in _TURNS:
            raise OptionError(f"--rotate must be 0, 90, 180 or 270 degrees. Received: {self.rotate}")
        if not (math.isfinite(self.frozen_after) and self.frozen_after >= 0):
            raise OptionError(f"--frozen-after must be 0 or more seconds. Received: {self.frozen_after:g}")

    @property
    def patience(self) -> float:
        """Seconds without a picture after which a camera counts as lost; at least two frames' time."""
        return max(self.frozen_after or DEFAULT_PATIENCE, 2 / self.fps if self.fps else 0.0)


@dataclass(frozen=True)
class Shot:
    """One picture of a camera, None where it came damaged, and time.monotonic() when it arrived.

    `skipped` is how many before it the camera left out by itself.
    """

    picture: Picture | None
    grabbed: float
    skipped: int = 0


class Camera(Protocol):
    """An opened camera, stream or video, used by one thread.

    `name` is its address as it may be shown. One that `ends` is a video file: it is over when it is over, and
    may stand still.
    """

    name: str
    ends: bool

    def read(self) -> Shot | None:
        """Wait for the next picture; None when no more will come. Raises SourceError when it is lost."""
        ...

    def close(self) -> None:
        """Give the device or the connection back."""
        ...


# Opens a camera, or raises SourceError with the bare reason: "nobody answers there".
OpenCamera = Callable[[], Camera]
Report = Callable[[str], None]
Idle = Callable[[], None]


def refuse_size(options: CameraOptions) -> None:
    """Raise OptionError where a size is asked of something that sends what it sends."""
    if options.size is not None:
        raise OptionError(
            "--size goes with cameras of this machine: a stream or a video comes in the size that it has"
        )
