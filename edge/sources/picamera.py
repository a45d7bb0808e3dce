"""The Raspberry Pi's own cameras, through picamera2 and libcamera."""

from __future__ import annotations

import os
import time
from typing import Any

from ..errors import SourceError
from .camera import CameraOptions, Report, Shot
from .frames import PixelPicture

# 4:3 and large: for a small size libcamera may choose a sensor mode that shows only the middle.
_DEFAULT_SIZE = (1280, 960)


class PiCamera:
    """A CSI camera behind picamera2.Picamera2."""

    ends = False

    def __init__(self, name: str, device: Any) -> None:
        """Read from `device`, which is started."""
        self.name = name
        self._device = device

    def read(self) -> Shot | None:
        """Wait for the next frame."""
        try:
            pixels = self._device.capture_array("main")
        except Exception as error:  # picamera2 and libcamera raise many kinds.
            raise SourceError(f"libcamera gave no picture ({error or type(error).__name__})") from None
        return Shot(PixelPicture(pixels), time.monotonic())

    def close(self) -> None:
        """Stop and release the camera."""
        self._device.stop()
        self._device.close()


def open_picamera(number: int, options: CameraOptions, report: Report) -> PiCamera:
    """Open the camera of this number; another size than that of `options` is reported to `report`.

    Raises SourceError with only the reason.
    """
    picamera2 = _import_picamera2()
    cameras = _models(picamera2)
    if number >= len(cameras):
        found = f"found: {', '.join(cameras)}" if cameras else "libcamera finds none"
        raise SourceError(
            f"there is no such CSI camera ({found}). Check its cable with the power off, and what "
            "rpicam-hello --list-cameras says"
        )
    name = "picamera" if number == 0 else f"picamera:{number}"
    device = None
    try:
        device = picamera2.Picamera2(number)
        given = _start(device, options)
    except Exception as error:
        if device is not None:
            device.close()
        raise SourceError(
            f"libcamera cannot start it ({error or type(error).__name__}). Is another program using it?"
        ) from None
    if options.size is not None and given != options.size:
        asked = "{}x{}".format(*options.size)
        report(f"--camera {name} has no {asked}, and gives {given[0]}x{given[1]}")
    return PiCamera(name, device)


def find_picameras() -> list[str]:
    """Return the models of the CSI cameras, by number; raises SourceError if picamera2 cannot be loaded."""
    return _models(_import_picamera2())


def _start(device: Any, options: CameraOptions) -> tuple[int, int]:
    """Configure and start the camera; return its size."""
    controls = {}
    if options.fps is not None:
        microseconds = round(1_000_000 / options.fps)
        controls["FrameDurationLimits"] = (microseconds, microseconds)
    # "RGB888" names the bits of a little-endian word from the top, so the bytes come as blue, green, red: see
    # mode_lookup in picamera2/request.py, and the picamera2 manual on image formats.
    main = {"size": options.size or _DEFAULT_SIZE, "format": "RGB888"}
    configuration = device.create_video_configuration(main=main, controls=controls)
    device.configure(configuration)
    device.start()
    width, height = device.camera_configuration()["main"]["size"]
    return width, height


def _models(picamera2: Any) -> list[str]:
    try:
        return [str(camera.get("Model", "camera")) for camera in picamera2.Picamera2.global_camera_info()]
    except Exception as error:
        raise SourceError(f"libcamera fails ({error or type(error).__name__})") from None


def _import_picamera2() -> Any:
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:ERROR")
    try:
        import picamera2
    except ModuleNotFoundError as error:
        if error.name == "picamera2":
            raise SourceError(
                "picamera2 is not installed. Run: sudo apt install python3-picamera2, and make the virtual "
                "environment again with: python3 -m venv --system-site-packages"
            ) from None
        raise SourceError(
            f"picamera2 is installed, but {error.name} is not. Run: sudo apt install python3-picamera2"
        ) from None
    except Exception as error:  # Often ValueError: it needs Debian's numpy, and pip installed another.
        raise SourceError(
            f"picamera2 cannot be loaded ({error}). If numpy is the cause, remove pip's, so that Debian's is "
            "used: pip uninstall numpy"
        ) from None
    return picamera2
