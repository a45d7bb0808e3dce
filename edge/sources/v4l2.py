"""Video4Linux devices: which of them give pictures, in which formats, and why one does not open."""

from __future__ import annotations

import errno
import os
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..procfs import read_text

# Requests, structures and flags as in linux/videodev2.h.
_QUERYCAP, _ENUM_FMT, _ENUM_FRAMESIZES, _REQBUFS = 0x80685600, 0xC0405602, 0xC02C564A, 0xC0145608
_CAPABILITY, _FMTDESC, _FRMSIZE, _REQUEST = "<16s32s32sIII12x", "<III32sI16x", "<III6I8x", "<III8x"
_VIDEO_CAPTURE, _DISCRETE, _MEMORY_MAP = 1, 1, 1
_MAX_ENTRIES = 64
# Drivers of the Raspberry Pi's camera interface and image processor: their devices give raw data or nothing,
# and libcamera makes the pictures.
_NEED_PICAMERA = ("unicam", "rp1-cfe", "pispbe", "bcm2835-isp", "bcm2835-codec", "rpi-hevc-dec", "rpivid")
_DEV = Path("/dev")
_SYSFS = Path("/sys/class/video4linux")
_JOIN_GROUP = "Run: sudo usermod -aG video $USER, and log in again"


class _Device(NamedTuple):
    """What a device says of itself; `captures` is False where it gives only data about pictures."""

    driver: str
    name: str
    captures: bool


def capture_devices() -> list[str]:
    """Return the paths of the devices that give pictures, by number; an empty list outside Linux."""
    return [str(path) for path in _video_files() if gives_pictures(path)]


def gives_pictures(path: Path) -> bool:
    """Return whether to try a device: True also where it cannot be queried, for lack of permission."""
    try:
        with path.open("rb", buffering=0) as file:
            device = _capability(file)
    except OSError:
        return True
    return device.captures and device.driver not in _NEED_PICAMERA


def number_of(path: Path) -> int:
    """Return the number of a device file /dev/videoN, which --camera takes."""
    return int(path.name.removeprefix("video"))


def name_of(path: Path) -> str:
    """Return a camera's name, also where it may not be opened; empty where it has none."""
    try:
        with path.open("rb", buffering=0) as file:
            return _capability(file).name
    except OSError:
        return read_text(_SYSFS / path.name / "name") or ""


def driver_of(path: Path) -> str:
    """Return the name of a device's driver, empty where it cannot be queried."""
    try:
        with path.open("rb", buffering=0) as file:
            return _capability(file).driver
    except OSError:
        return ""


def formats_of(path: Path) -> tuple[str, ...]:
    """Return the formats of a device, such as "MJPG 640x480, 1280x720"; empty where it cannot be queried."""
    try:
        with path.open("rb", buffering=0) as file:
            return tuple(
                f"{code.decode(errors='replace').strip()} {', '.join(_sizes(file, code))}".strip()
                for code in _codes(file)
            )
    except OSError:
        return ()


def explain_device(device: str) -> str:
    """Return why a camera, named by its number or path, gives no pictures, and what to do about it."""
    if not sys.platform.startswith("linux"):
        return "Is one plugged in, may this program use the camera, and is no other program using it?"
    path = _DEV / f"video{device}" if device.isdecimal() else Path(device)
    try:
        if not path.exists():
            return f"{path} does not exist. {_describe_devices()}"
        if not os.access(path, os.R_OK | os.W_OK):
            return f"{path} may not be opened (permission denied). {_JOIN_GROUP}"
        return _explain_driver(path)
    except OSError as error:
        if error.errno == errno.EBUSY:
            return f"{path} is busy: another program is using it. Close that program first"
        return f"{path} cannot be opened ({error.strerror})"


def _explain_driver(path: Path) -> str:
    import fcntl

    with path.open("rb+", buffering=0) as file:
        try:
            device = _capability(file)
        except OSError:
            return f"{path} is no camera"
        if device.driver in _NEED_PICAMERA:
            return f"{path} is part of the Raspberry Pi's own camera: use --camera picamera"
        if not device.captures:
            return f"{path} gives no pictures, only data about them: try the number before it"
        # A request for no buffers fails where another program holds some.
        fcntl.ioctl(file, _REQBUFS, struct.pack(_REQUEST, 0, _VIDEO_CAPTURE, _MEMORY_MAP))
    return (
        f"{path} ({device.driver}) can be opened, but sends no pictures. Plug it in again, or try another "
        "--size"
    )


def _describe_devices() -> str:
    paths = [str(path) for path in _video_files()]
    cameras = [path for path in paths if gives_pictures(Path(path))]
    if cameras:
        return f"Found: {', '.join(cameras)}"
    if paths:
        return "This machine has no USB camera; for the Raspberry Pi's own camera use --camera picamera"
    return "This machine shows no camera (/dev/video*): is one plugged in?"


def _video_files() -> list[Path]:
    if not sys.platform.startswith("linux"):
        return []
    numbered = [path for path in _DEV.glob("video*") if re.fullmatch(r"video\d{1,6}", path.name)]
    return sorted(numbered, key=number_of)


def _capability(file: Any) -> _Device:
    raw = _query(file, _QUERYCAP, bytes(struct.calcsize(_CAPABILITY)))
    driver, name, _, _, _, flags = struct.unpack(_CAPABILITY, raw)
    return _Device(_text(driver), _text(name), bool(flags & _VIDEO_CAPTURE))


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode(errors="replace")


def _codes(file: Any) -> Iterator[bytes]:
    for index in range(_MAX_ENTRIES):
        try:
            raw = _query(file, _ENUM_FMT, struct.pack(_FMTDESC, index, _VIDEO_CAPTURE, 0, b"", 0))
        except OSError:  # There are no more.
            return
        yield struct.pack("<I", struct.unpack(_FMTDESC, raw)[4])


def _sizes(file: Any, code: bytes) -> Iterator[str]:
    for index in range(_MAX_ENTRIES):
        try:
            request = struct.pack(_FRMSIZE, index, *struct.unpack("<I", code), 0, *[0] * 6)
            raw = struct.unpack(_FRMSIZE, _query(file, _ENUM_FRAMESIZES, request))
        except OSError:
            return
        kind, smallest_width, second, _, smallest_height, largest_height = raw[2:8]
        if kind != _DISCRETE:  # Smallest, largest and step of the width, then of the height.
            yield f"{smallest_width}x{smallest_height} to {second}x{largest_height}"
            return
        yield f"{smallest_width}x{second}"


def _query(file: Any, request: int, structure: bytes) -> bytes:
    import fcntl

    return bytes(fcntl.ioctl(file, request, structure))
