"""The cameras of this machine: their names, their addresses and what they can do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import MissingPackageError, SourceError
from ..extras import pip_install
from .opencv import import_opencv
from .v4l2 import capture_devices, driver_of, formats_of, name_of, number_of


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

    On Linux the kernel is asked, and no package is needed. Elsewhere raises MissingPackageError where
    cv2-enumerate-cameras is not installed.
    """
    from .picamera import find_picameras

    try:
        models = find_picameras()
    except SourceError:  # Without picamera2 there is no such camera to list.
        models = []
    found = [
        CameraDevice(model, "picamera" if number == 0 else f"picamera:{number}", "libcamera", "", ())
        for number, model in enumerate(models)
    ]
    return found + (list_v4l2() if sys.platform.startswith("linux") else list(_list_numbered()))


def list_v4l2() -> list[CameraDevice]:
    """Return the Video4Linux devices that give pictures, by number."""
    return [
        CameraDevice(
            name_of(path) or f"camera {number_of(path)}",
            str(number_of(path)),
            driver_of(path),
            str(path),
            formats_of(path),
        )
        for path in map(Path, capture_devices())
    ]


def _list_numbered() -> Iterator[CameraDevice]:
    import_opencv("--list-cameras")  # First: cv2_enumerate_cameras loads it too, and would let it print.
    try:
        from cv2_enumerate_cameras import enumerate_cameras
    except ModuleNotFoundError:
        raise MissingPackageError("cv2-enumerate-cameras", "--list-cameras", pip_install("camera")) from None
    for camera in sorted(enumerate_cameras(), key=lambda camera: camera.index):
        yield CameraDevice(
            camera.name or f"camera {camera.index}", str(camera.index), "", camera.path or "", ()
        )
