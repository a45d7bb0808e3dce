"""The cameras of this machine: what they are called, what they can do, and why one doesn't open."""

from __future__ import annotations

import errno
import os
import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import MissingPackageError, SourceError

# Requests, structures and flags as in linux/videodev2.h.
_QUERYCAP, _ENUM_FMT, _ENUM_FRAMESIZES, _REQBUFS = 0x80685600, 0xC0405602, 0xC02C564A, 0xC0145608
_CAPABILITY, _FMTDESC, _FRMSIZE, _REQUEST = "<16s32s32sIII12x", "<III32sI16x", "<III6I8x", "<III8x"
_VIDEO_CAPTURE, _DISCRETE, _MEMORY_MAP = 1, 1, 1
_MAX_ENTRIES = 64
# Drivers of the Raspberry Pi's camera interface and image processor: their nodes give raw data or none, and
# libcamera makes pictures of it.
_NEED_PICAMERA = ("unicam", "rp1-cfe", "pispbe", "bcm2835-isp", "bcm2835-codec", "rpi-hevc-dec", "rpivid")
_DEV = Path("/dev")
_JOIN_GROUP = "Run: sudo usermod -aG video $USER, and log in again"


@dataclass(frozen=True)
class CameraDevice:
    """A camera of this machine; `address` is what --camera takes.

    `path` is its device file, empty where it has none. `formats` reads "MJPG 640x480, 1280x720", and is empty
    where the system doesn't tell.
    """

    name: str
    address: str
    driver: str
    path: str
    formats: tuple[str, ...]


def list_cameras() -> list[CameraDevice]:
    """Find all cameras, as `--camera auto` tries them: libcamera's first, then USB and others by number.

    Raises MissingPackageError when neither picamera2 nor cv2-enumerate-cameras is installed.
    """
    try:
        found = _list_picameras()
    except SourceError:
        found = None
    try:
        return (found or []) + list(_list_numbered())
    except MissingPackageError:
        if found is None:
            raise
        return found


def capture_devices() -> list[str]:
    """Return the paths of the V4L2 devices that give pictures, by number; none where it is not Linux."""
    return [str(path) for path in _video_files() if _gives_pictures(path)]


def explain_device(device: str) -> str:
    """Say why a camera, named by its number or path, doesn't give pictures, and what to do about it."""
    if not sys.platform.startswith("linux"):
        return "Is one plugged in, may this program use the camera, and is no other program using it?"
    path = _DEV / f"video{device}" if device.isdecimal() else Path(device)
    try:
        if not path.exists():
            return f"{path} does not exist. {_what_there_is()}"
        if not os.access(path, os.R_OK | os.W_OK):
            return f"{path} may not be opened (permission denied). {_JOIN_GROUP}"
        return _explain_driver(path)
    except OSError as error:
        if error.errno == errno.EBUSY:
            return f"{path} is busy: another program is using it. Close that one first"
        return f"{path} cannot be opened ({error.strerror})"


def _explain_driver(path: Path) -> str:
    import fcntl

    with path.open("rb+", buffering=0) as file:
        try:
            _, driver, captures = _capability(file)
        except OSError:
            return f"{path} is no camera"
        if driver in _NEED_PICAMERA:
            return f"{path} is part of the Raspberry Pi's own camera: use --camera picamera"
        if not captures:
            return f"{path} gives no pictures, only data about them: try the number before it"
        # Taking no buffers fails where another program has some.
        fcntl.ioctl(file, _REQBUFS, struct.pack(_REQUEST, 0, _VIDEO_CAPTURE, _MEMORY_MAP))
    return f"{path} ({driver}) can be opened, but sends no pictures. Plug it in again, or try another --size"


def _what_there_is() -> str:
    paths = [str(path) for path in _video_files()]
    cameras = [path for path in paths if _gives_pictures(Path(path))]
    if cameras:
        return f"Found: {', '.join(cameras)}"
    if paths:
        return "What is there are no USB cameras; for the Raspberry Pi's own camera use --camera picamera"
    return "This machine shows no camera (/dev/video*): is one plugged in?"


def _video_files() -> list[Path]:
    if not sys.platform.startswith("linux"):
        return []
    numbered = [path for path in _DEV.glob("video*") if re.fullmatch(r"video\d{1,6}", path.name)]
    return sorted(numbered, key=lambda path: int(path.name[5:]))


def _gives_pictures(path: Path) -> bool:
    """Return whether it is worth a try; where that cannot be asked, as without permission, it is."""
    try:
        with path.open("rb", buffering=0) as file:
            _, driver, captures = _capability(file)
    except OSError:
        return True
    return captures and driver not in _NEED_PICAMERA


def _capability(file: Any) -> tuple[str, str, bool]:
    """Return a device's name, its driver, and whether it captures pictures and not only data about them."""
    raw = _ask(file, _QUERYCAP, bytes(struct.calcsize(_CAPABILITY)))
    driver, card, _, _, _, flags = struct.unpack(_CAPABILITY, raw)
    return _text(card), _text(driver), bool(flags & _VIDEO_CAPTURE)


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode(errors="replace")


def _ask(file: Any, request: int, structure: bytes) -> bytes:
    import fcntl

    return bytes(fcntl.ioctl(file, request, structure))


def _formats(path: Path) -> tuple[str, ...]:
    try:
        with path.open("rb", buffering=0) as file:
            return tuple(
                f"{code.decode(errors='replace').strip()} {', '.join(_sizes(file, code))}".strip()
                for code in _codes(file)
            )
    except OSError:
        return ()


def _codes(file: Any) -> Iterator[bytes]:
    for index in range(_MAX_ENTRIES):
        try:
            raw = _ask(file, _ENUM_FMT, struct.pack(_FMTDESC, index, _VIDEO_CAPTURE, 0, b"", 0))
        except OSError:  # There are no more.
            return
        yield struct.pack("<I", struct.unpack(_FMTDESC, raw)[4])


def _sizes(file: Any, code: bytes) -> Iterator[str]:
    for index in range(_MAX_ENTRIES):
        try:
            asked = struct.pack(_FRMSIZE, index, *struct.unpack("<I", code), 0, *[0] * 6)
            raw = struct.unpack(_FRMSIZE, _ask(file, _ENUM_FRAMESIZES, asked))
        except OSError:
            return
        kind, smallest_width, second, _, smallest_height, largest_height = raw[2:8]
        if kind != _DISCRETE:  # From, to and step of the width, then of the height.
            yield f"{smallest_width}x{smallest_height} to {second}x{largest_height}"
            return
        yield f"{smallest_width}x{second}"


def _list_picameras() -> list[CameraDevice]:
    from .picamera import find_picameras

    return [
        CameraDevice(model, "picamera" if number == 0 else f"picamera:{number}", "libcamera", "", ())
        for number, model in enumerate(find_picameras())
    ]


def _list_numbered() -> Iterator[CameraDevice]:
    from .opencv import import_opencv

    import_opencv("--list-cameras")  # The library loads it too, and would let it print.
    try:
        from cv2_enumerate_cameras import enumerate_cameras
    except ModuleNotFoundError:
        raise MissingPackageError(
            "cv2-enumerate-cameras", "--list-cameras", "edge-classify[camera]"
        ) from None
    # On Linux it would list a device once for each of OpenCV's ways to open it.
    linux = sys.platform.startswith("linux")
    v4l2 = 200  # cv2.CAP_V4L2
    for camera in sorted(enumerate_cameras(v4l2) if linux else enumerate_cameras(), key=lambda c: c.index):
        path = Path(camera.path or "")
        if linux and not _gives_pictures(path):
            continue
        yield CameraDevice(
            camera.name or f"camera {camera.index}",
            str(camera.index),
            _driver(path) if linux else "",
            camera.path or "",
            _formats(path) if linux else (),
        )


def _driver(path: Path) -> str:
    try:
        with path.open("rb", buffering=0) as file:
            return _capability(file)[1]
    except OSError:
        return ""
