"""Interlaced films, which OpenCV from 4.13 on does not convert: it gives what is in memory, without an error.

Measured: 4.12.0 gives the pictures; 4.14.0 and 5.0.0 do not. FFmpeg says so only in its messages, which
are silenced here and are read in another process.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError

_READ_ONE = "import cv2; cv2.VideoCapture(sys.argv[1], cv2.CAP_FFMPEG).read()"
_FIRST_AFFECTED = (4, 13)
_ERRORS = "16"  # FFmpeg's AV_LOG_ERROR.
_SAID = b"interlaced"
_SECONDS = 60.0
_MOST_BYTES = 65_536


class _Heard:
    """The end of a pipe with what FFmpeg said in this process; None where it is asked in another."""

    def __init__(self) -> None:
        self.pipe: int | None = None


_heard = _Heard()


def listen() -> None:
    """Keep what FFmpeg prints, for a process that may not start another; before cv2 is imported.

    Nothing else that is written to stdout and stderr is seen from then on.
    """
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = _ERRORS
    _heard.pipe, written = os.pipe()
    for end in (_heard.pipe, written):  # What does not fit is lost: the first messages count.
        os.set_blocking(end, False)
    os.dup2(written, 1)
    os.dup2(written, 2)


def is_affected(cv2: Any) -> bool:
    """Return whether this version of OpenCV leaves interlaced frames unwritten."""
    numbers = cv2.__version__.split(".")[:2]
    return all(map(str.isdecimal, numbers)) and tuple(map(int, numbers)) >= _FIRST_AFFECTED


def require_converted(
    cv2: Any, path: Path, first: NDArray[np.uint8], second: NDArray[np.uint8] | None
) -> None:
    """Raise ImageError where the first two frames of a film are alike since OpenCV converted neither."""
    if second is None or not np.array_equal(first, second) or not _is_refused(path):
        return
    raise ImageError(
        f"{path} is interlaced, which OpenCV {cv2.__version__} does not decode. Convert it "
        '(ffmpeg -i FILE -vf yadif FILE.mp4), or run: pip install "opencv-python<4.13"'
    )


def _is_refused(path: Path) -> bool:
    """Return whether FFmpeg, reading the first frame in another process, complains of interlaced frames."""
    if _heard.pipe is not None:
        import ctypes

        ctypes.CDLL(None).fflush(None)  # FFmpeg's messages wait in a buffer of the C library.
        try:
            return _SAID in os.read(_heard.pipe, _MOST_BYTES)
        except BlockingIOError:  # It said nothing.
            return False
    from ..processes import child_environment, python_command, run

    command = python_command(_READ_ONE, os.path.abspath(path))  # noqa: PTH100 - resolve() follows links.
    try:
        done = run(command, _SECONDS, child_environment(OPENCV_FFMPEG_LOGLEVEL=_ERRORS))
    except OSError:
        return False
    return done.status is not None and _SAID in done.output + done.errors
