"""The protocol of cameras, their shots and their options."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..errors import OptionError
from .fingerprints import parse_fingerprint
from .frames import Picture

# Seconds without a picture after which a camera counts as lost, unless `frozen_after` is given.
DEFAULT_PATIENCE = 10.0
_MAX_SIDE = 16_384
_MAX_FPS = 1000.0
_TURNS = (0, 90, 180, 270)


@dataclass(frozen=True)
class CameraOptions:
    """How a camera is opened and watched.

        open_source("0", CameraOptions(size=(640, 480), fps=30))
        open_source("rtsp://camera.local/stream", CameraOptions(rotate=180, frozen_after=0))

    `size` is (width, height) in pixels and `fps` frames per second; None leaves them to the camera. They are
    set on a local camera. For streams and videos `fps` limits the frames that are used, and `size` is not
    possible. `rotate` turns pictures clockwise, in degrees. A camera without a new picture for `frozen_after`
    seconds counts as lost; with 0 the picture may stand still. An https:// camera with a `tls_fingerprint`
    must have the certificate of this SHA-256, whoever signed it. Raises OptionError for values that cannot
    work.
    """

    size: tuple[int, int] | None = None
    fps: float | None = None
    rotate: int = 0
    frozen_after: float = DEFAULT_PATIENCE
    tls_fingerprint: str | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if self.size is not None and not all(1 <= side <= _MAX_SIDE for side in self.size):
            width, height = self.size
            raise OptionError(f"size must be 1x1 to {_MAX_SIDE}x{_MAX_SIDE}. Received: {width}x{height}")
        if self.fps is not None and not 0 < self.fps <= _MAX_FPS:
            raise OptionError(f"fps must be above 0 and at most {_MAX_FPS:g}. Received: {self.fps:g}")
        if self.rotate not in _TURNS:
            raise OptionError(f"rotate must be 0, 90, 180 or 270 degrees. Received: {self.rotate}")
        if not (math.isfinite(self.frozen_after) and self.frozen_after >= 0):
            raise OptionError(f"frozen_after must be 0 or more seconds. Received: {self.frozen_after:g}")
        if self.tls_fingerprint is not None:
            object.__setattr__(self, "tls_fingerprint", parse_fingerprint(self.tls_fingerprint))

    @property
    def patience(self) -> float:
        """Seconds without a picture after which a camera counts as lost; at least the time of two frames."""
        return max(self.frozen_after or DEFAULT_PATIENCE, 2 / self.fps if self.fps else 0.0)


@dataclass(frozen=True)
class Shot:
    """One picture of a camera, None where it was damaged, and time.monotonic() when it arrived.

    `skipped` is the number of pictures before it that the camera left out.
    """

    picture: Picture | None
    grabbed: float
    skipped: int = 0


class Camera(Protocol):
    """An opened camera, stream or video, used by one thread.

    `name` is its address without secrets. `ends` is True for a video file, whose end is no failure and whose
    picture may stand still.
    """

    name: str
    ends: bool

    def read(self) -> Shot | None:
        """Wait for the next picture; return None at the end. Raises SourceError when the camera is lost."""
        ...

    def close(self) -> None:
        """Release the device or the connection."""
        ...


@runtime_checkable
class Receiving(Protocol):
    """A camera that knows what has come in place of pictures."""

    def received(self) -> str:
        """Return it in words, empty where nothing has; called from another thread."""
        ...


@runtime_checkable
class Interruptible(Protocol):
    """A camera whose reads can be ended by another thread."""

    def interrupt(self) -> None:
        """Have the present read and all later ones raise SourceError."""
        ...


# Opens a camera, or raises SourceError with only the reason: "OpenCV cannot decode it".
OpenCamera = Callable[[], Camera]
Report = Callable[[str], None]
Idle = Callable[[], None]


def refuse_size(options: CameraOptions) -> None:
    """Raise OptionError for a size where the source has a fixed size."""
    if options.size is not None:
        raise OptionError("--size goes with cameras of this machine: streams and videos have a fixed size")


def refuse_fingerprint(name: str, options: CameraOptions) -> None:
    """Raise OptionError for a certificate's fingerprint where the camera called `name` shows none."""
    if options.tls_fingerprint is not None and not has_certificate(name):
        raise OptionError("--tls-fingerprint goes with an address that begins with https://")


def has_certificate(name: str) -> bool:
    """Return whether a camera of this name shows a certificate that a fingerprint can be compared with."""
    return name.lower().startswith("https://")
