"""Video files, every frame in order; opencv.py plays them in real time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import EdgeClassifyError, ImageError
from ..image_file import require_decodable, require_file
from ..placeholders import PLACEHOLDER_BYTES, placeholder
from .frames import Frame, PixelPicture
from .interlaced import require_converted
from .opencv import import_opencv
from .video_clock import VideoClock

# What may be missing before a video counts as cut off.
_MISSING_FRAMES, _MISSING_SHARE = 2, 0.05
_STEADY_SHARE = 0.8  # The share of a rate's frames that a video of a steady rate holds at least.
_MP4_BOXES = (
    b"ftyp",
    b"moov",
    b"mdat",
    b"wide",
    b"free",
    b"skip",
)  # What an MP4 or QuickTime file begins with.


def video_frames(path: Path) -> Iterator[Frame]:
    """Yield every frame in order; `seconds` is its time by its time stamp, see VideoClock.

    A video that cannot be decoded, or is cut off, ends with a frame with an error.
    """
    index, seconds = 0, None
    try:
        require_file(path)
        cv2 = import_opencv(str(path))
        capture, stated = _open(cv2, path)
        clock = VideoClock(cv2, capture)
        try:
            for pixels, seconds in _decoded(cv2, capture, clock, path):
                yield Frame(str(path), PixelPicture(pixels), None, index, None, seconds)
                index += 1
        finally:
            capture.release()
        if index == 0:
            raise ImageError(f"{path} holds no frames that OpenCV can decode")
        if missing := _missing(path, stated, index, clock, seconds):
            raise ImageError(f"{path} {missing}")
    except EdgeClassifyError as error:
        yield Frame(str(path), None, str(error), index)


def _decoded(cv2: Any, capture: Any, clock: VideoClock, path: Path) -> Iterator[tuple[Any, float | None]]:
    """Yield the pixels and the time of each frame; raises ImageError where OpenCV only seems to decode it."""
    first = _read(cv2, capture, path)
    if first is None:
        return
    time = clock.next_time()
    second = _read(cv2, capture, path)
    require_converted(cv2, path, first, second)
    yield first, time
    while second is not None:
        yield second, clock.next_time()
        second = _read(cv2, capture, path)


def _open(cv2: Any, path: Path) -> tuple[Any, float]:
    """Return the open file, and the number of frames in its header."""
    # FFmpeg reads an absolute path only as a file's; other backends read patterns ("%d") in names.
    name = os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links.
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ImageError(f"{path}: OpenCV accepts only names in UTF-8. Rename it") from None
    capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise ImageError(f"{path} {_not_opened(path)}")
    size = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    try:
        require_decodable((int(size[0]), int(size[1])))
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
    return capture, capture.get(cv2.CAP_PROP_FRAME_COUNT)


def _not_opened(path: Path) -> str:
    """Return why a file cannot be opened as a video, as words that follow its name."""
    with path.open("rb") as file:
        head = file.read(PLACEHOLDER_BYTES)
    if not head:
        return "is empty (0 bytes)"
    return placeholder(head) or "cannot be decoded by OpenCV: is it a video, and whole?"


def _missing(path: Path, stated: float, frames: int, clock: VideoClock, last: float | None) -> str | None:
    """Return what seems to be missing at the end of a video, None where nothing does.

    AVI and MP4 files state the number of their frames. Others, such as Matroska, state a duration, which
    OpenCV multiplies by the rate; where the video holds far fewer frames in a second than its rate, that
    number says nothing.
    """
    if stated - frames <= max(_MISSING_FRAMES, _MISSING_SHARE * stated):
        return None
    head = _head(path)
    is_avi = head[:4] == b"RIFF" and head[8:] == b"AVI "
    if clock.rate and last is not None and is_avi:  # Its frames may be empty: nothing new is shown.
        at_end = stated / clock.rate - last <= max(_MISSING_FRAMES / clock.rate, _MISSING_SHARE * last)
        return None if at_end else f"is cut off after {frames} of about {stated:.0f} frames"
    if head[4:8] in _MP4_BOXES:
        return f"is cut off after {frames} of about {stated:.0f} frames"
    if clock.rate is None or last is None:
        return f"ends after {frames} of about {stated:.0f} frames: it is cut off, or its header is wrong"
    duration = stated / clock.rate
    variable = frames < _STEADY_SHARE * last * clock.rate
    if variable or duration - last <= max(_MISSING_FRAMES / clock.rate, _MISSING_SHARE * duration):
        return None
    return (
        f"shows nothing new from {last:.1f} s to its end at {duration:.1f} s: it is cut off, or stands still"
    )


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(12)


def _read(cv2: Any, capture: Any, path: Path) -> Any:
    """Return the next frame, or None at the end."""
    try:
        read, pixels = capture.read()
    except cv2.error as error:
        reason = str(error).splitlines()[0]
        raise ImageError(f"{path} cannot be decoded any further ({reason})") from None
    return pixels if read else None
