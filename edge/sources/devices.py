"""The cameras of this machine: their names, their addresses and what they can do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import MissingPackageError, SourceError
from .opencv import import_opencv
from .v4l2 import driver_of, formats_of, gives_pictures


@dataclass(frozen=True)
class CameraDevice:
    """A camera of this machine; `address` is what --camera takes.

    `path` is its device file, empty where it has none. `formats` are such as "MJPG 640x480, 1280x720", and
    empty where the system doesn't list them.
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


def _list_picameras() -> list[CameraDevice]:
    from .picamera import find_picameras

    return [
        CameraDevice(model, "picamera" if number == 0 else f"picamera:{number}", "libcamera", "", ())
        for number, model in enumerate(find_picameras())
    ]


def _list_numbered() -> Iterator[CameraDevice]:
    import_opencv("--list-cameras")  # First: cv2_enumerate_cameras loads it too, and would let it print.
    try:
        from cv2_enumerate_cameras import enumerate_cameras
    except ModuleNotFoundError:
        raise MissingPackageError(
            "cv2-enumerate-cameras", "--list-cameras", "edge-classify[camera]"
        ) from None
    # Without a backend, Linux would list a device once for each of OpenCV's ways to open it.
    linux = sys.platform.startswith("linux")
    v4l2 = 200  # cv2.CAP_V4L2
    for camera in sorted(enumerate_cameras(v4l2) if linux else enumerate_cameras(), key=lambda c: c.index):
        path = Path(camera.path or "")
        if linux and not gives_pictures(path):
            continue
        yield CameraDevice(
            camera.name or f"camera {camera.index}",
            str(camera.index),
            driver_of(path) if linux else "",
            camera.path or "",
            formats_of(path) if linux else (),
        )
