"""Opens what --camera names: a camera, a stream, or a video in real time."""

from __future__ import annotations

import re
import stat
import sys
from functools import partial
from pathlib import Path

from ..errors import MissingPackageError, SourceError
from .addresses import redact, unencrypted_remark
from .camera import Camera, CameraOptions, Idle, OpenCamera, Report, refuse_fingerprint
from .live import LiveSource, ignore

__all__ = ["CameraOptions", "open_source"]
_PICAMERA = "picamera"


def open_source(
    name: str,
    options: CameraOptions = CameraOptions(),  # noqa: B008 - frozen.
    report: Report = ignore,
    idle: Idle = ignore,
) -> LiveSource:
    """Open a camera, a stream, or a video file in real time.

        for frame in open_source("0", report=print):
            print(classifier.classify(frame.picture) if frame.picture else frame.error)

    `name` is a camera's number ("0") or device file ("/dev/v4l/by-id/..."), "picamera" ("picamera:1" for the
    second), "auto" for the first camera that gives pictures, a stream's address, or a video file; only a
    video file ends. `report` gets remarks, such as that a lost camera is back or has not the requested size;
    it may be called from another thread. `idle` is called at least once a second while no frame comes. Raises
    SourceError with the reason why it cannot be opened, OptionError for a size or a fingerprint where none
    can be set, and MissingPackageError. The iteration raises SourceError for a camera that never gave a
    picture.
    """
    refuse_fingerprint(name, options)
    if remark := unencrypted_remark(name, f"--camera {redact(name)}"):
        report(remark)
    return LiveSource(redact(name), _opener(name, options, _Once(report)), options, report, idle)


class _Once:
    """Passes each message on once: a camera that is opened again repeats its messages."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._said: set[str] = set()

    def __call__(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            self._report(message)


def _opener(name: str, options: CameraOptions, report: Report) -> OpenCamera:
    """Return a function that opens the camera of this name, and only then loads the modules for it."""
    if name == "auto":
        return partial(_open_first, options, report)
    kind, _, number = name.partition(":")
    if kind == _PICAMERA and (number.isdecimal() or name == _PICAMERA):
        return partial(_open_picamera, int(number or 0), options, report)
    if "://" in name:
        return partial(_open_address, name, options)
    if name.isdecimal() or _is_device(name):
        return partial(_open_device, name, options, report)
    return partial(_open_video, name, options)


def _open_first(options: CameraOptions, report: Report) -> Camera:
    """Try the Raspberry Pi's own camera, then all others by number; the error lists the reason of each."""
    from .v4l2 import capture_devices

    devices = capture_devices() if sys.platform.startswith("linux") else ["0"]
    attempts: dict[str, OpenCamera] = {_PICAMERA: partial(_open_picamera, 0, options, report)}
    attempts |= {device: partial(_open_device, device, options, report) for device in devices}
    failures = []
    for name, attempt in attempts.items():
        try:
            return attempt()
        except (SourceError, MissingPackageError) as error:
            failures.append(f"{name}: {error}")
    if not devices:
        failures.append("/dev/video*: this machine has no USB camera or other V4L2 device")
    raise SourceError("no camera that was tried gives pictures. " + "; ".join(failures))


def _open_picamera(number: int, options: CameraOptions, report: Report) -> Camera:
    from .picamera import open_picamera

    return open_picamera(number, options, report)


def _open_device(name: str, options: CameraOptions, report: Report) -> Camera:
    from .opencv import open_device

    return open_device(name, options, report)


def _open_address(url: str, options: CameraOptions) -> Camera:
    if url.lower().startswith(("http://", "https://")):
        from .http_camera import open_http

        return open_http(url, options)
    from .opencv import open_stream

    return open_stream(url, options)


def _open_video(name: str, options: CameraOptions) -> Camera:
    from .opencv import open_video

    return open_video(name, options)


def _is_device(name: str) -> bool:
    try:
        return stat.S_ISCHR(Path(name).stat().st_mode)
    except (OSError, ValueError):  # Missing, too long, or with a NUL. A camera may be plugged in later.
        return re.match(r"/dev/(video\d|v4l/)", name) is not None
