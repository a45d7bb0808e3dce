"""Video files, every frame in order; opencv.py plays them in real time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import EdgeClassifyError, ImageError
from ..image_file import require_decodable, require_file
from .frames import Frame, PixelPicture
from .opencv import import_opencv

# Frames that may be missing before a video counts as cut off: containers only estimate their number.
_MISSING, _MISSING_SHARE = 2, 0.05


def video_frames(path: Path) -> Iterator[Frame]:
    """Yield every frame in order; `seconds` is its index divided by the frame rate, None without a rate.

    A video that cannot be decoded, or is cut off, ends with a frame with an error.
    """
    index = 0
    try:
        require_file(path)
        cv2 = import_opencv(str(path))
        capture, stated = _open(cv2, path)
        rate = capture.get(cv2.CAP_PROP_FPS)
        try:
            while (pixels := _read(cv2, capture, path)) is not None:
                seconds = index / rate if 0 < rate < float("inf") else None
                yield Frame(str(path), PixelPicture(pixels), None, index, None, seconds)
                index += 1
        finally:
            capture.release()
        if index == 0:
            raise ImageError(f"{path} holds no frames that OpenCV can decode")
        if stated - index > max(_MISSING, _MISSING_SHARE * stated):
            raise ImageError(f"{path} is cut off after {index} of about {stated:.0f} frames")
    except EdgeClassifyError as error:
        yield Frame(str(path), None, str(error), index)


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
        raise ImageError(f"{path} cannot be decoded by OpenCV: is it a video, and whole?")
    size = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    try:
        require_decodable((int(size[0]), int(size[1])))
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
    return capture, capture.get(cv2.CAP_PROP_FRAME_COUNT)


def _read(cv2: Any, capture: Any, path: Path) -> Any:
    """Return the next frame, or None at the end."""
    try:
        read, pixels = capture.read()
    except cv2.error as error:
        reason = str(error).splitlines()[0]
        raise ImageError(f"{path} cannot be decoded any further ({reason})") from None
    return pixels if read else None
