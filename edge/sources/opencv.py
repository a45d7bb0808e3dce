"""Sources that OpenCV reads: local cameras, RTSP and other streams, and video files in real time."""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import ImageError, MissingPackageError, SourceError
from ..extras import pip_install
from .addresses import redact
from .camera import CameraOptions, Report, Shot, refuse_size
from .frames import PixelPicture
from .v4l2 import explain_device
from .video_clock import VideoClock

_OPEN_LIMIT_MS = 10_000
_MAX_NUMBER = 2**31 - 1
_ASSUMED_FPS = 25.0  # For a video file without time stamps and without a frame rate.
_FFMPEG_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
# FFmpeg's names of what https: needs; tcp carries tls.
_ENCRYPTED_PROTOCOLS = "https,tls,tcp,crypto,data,httpproxy"
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"  # Where Debian keeps them.
# The most that USB 2 carries uncompressed: 640x480 YUYV at 30 frames/s are 18 MB/s.
_UNCOMPRESSED_PIXELS, _UNCOMPRESSED_FPS = 640 * 480, 30.0
_ENVIRONMENT = threading.Lock()


def import_opencv(purpose: str) -> Any:
    """Return the module cv2, without its own messages, which may hold a stream's password.

    Raises MissingPackageError, with the text `purpose` ("--camera 0"), or SourceError where it cannot be
    loaded.
    """
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ModuleNotFoundError:
        raise MissingPackageError("OpenCV", purpose, pip_install("camera")) from None
    except ImportError as error:  # A system library is missing, such as libGL.so.1 on a bare Debian.
        raise SourceError(
            f"OpenCV is installed and cannot be loaded ({error}). On Debian: apt install libgl1 libglib2.0-0"
        ) from None
    # cv2 may have been imported before the variable was set.
    if os.environ["OPENCV_LOG_LEVEL"] == "SILENT":
        # OpenCV 4.6 and 5 have the function in different places; 0 is silent in both.
        (cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging).setLogLevel(0)
    return cv2


class OpenCVCamera:
    """A camera or a stream behind cv2.VideoCapture."""

    ends = False

    def __init__(self, name: str, capture: Any, cv2: Any) -> None:
        """Read from `capture`, which is open; `name` is shown."""
        self.name = name
        self._capture = capture
        self._cv2 = cv2

    def read(self) -> Shot | None:
        """Wait for the next frame and convert it to BGR."""
        try:
            if not self._capture.grab():
                return None
            grabbed = time.monotonic()
            return Shot(_retrieve(self._capture), grabbed)
        except self._cv2.error as error:
            raise SourceError(f"OpenCV failed ({_first_line(error)})") from None

    def close(self) -> None:
        """Release the device or the connection."""
        self._capture.release()


class VideoFile:
    """A video file in real time, by its time stamps: frames that are too late are left out."""

    ends = True

    def __init__(self, name: str, capture: Any, cv2: Any) -> None:
        """Play `capture`, which is open and has grabbed its first frame."""
        self.name = name
        self._capture = capture
        self._cv2 = cv2
        self._clock = VideoClock(cv2, capture)
        self._grabbed_first = True
        self._next = 0
        self._began: float | None = None

    def read(self) -> Shot | None:
        """Wait until the next frame that is not too late is due."""
        if self._began is None:
            self._began = time.monotonic()
        first = self._next
        try:
            while self._grab():
                seconds = self._clock.next_time()
                due = self._began + (self._next / _ASSUMED_FPS if seconds is None else seconds)
                self._next += 1
                now = time.monotonic()
                if now < due + (self._clock.interval or 1 / _ASSUMED_FPS):
                    time.sleep(max(0.0, due - now))
                    return Shot(_retrieve(self._capture), max(now, due), self._next - 1 - first)
        except self._cv2.error as error:
            raise SourceError(f"OpenCV cannot decode it any further ({_first_line(error)})") from None
        return None

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _grab(self) -> bool:
        if self._grabbed_first:
            self._grabbed_first = False
            return True
        return bool(self._capture.grab())


def open_device(device: str, options: CameraOptions, report: Report) -> OpenCVCamera:
    """Open a camera by its number or, on Linux, by its path ("/dev/v4l/by-id/...").

    Another size than that of `options` is reported to `report`. Raises SourceError, with the reason why the
    camera gives no pictures, and MissingPackageError.
    """
    cv2 = import_opencv(f"--camera {device}")
    linux = sys.platform.startswith("linux")
    which = min(int(device), _MAX_NUMBER) if device.isdecimal() else device
    capture = _capture(cv2, which, cv2.CAP_V4L2 if linux else cv2.CAP_ANY)
    if not capture.isOpened():
        raise SourceError(explain_device(device))
    _configure(cv2, capture, options)
    if not capture.grab():
        capture.release()
        raise SourceError(f"it opens, but gives no picture. {explain_device(device)}")
    if options.size is not None:
        given = tuple(int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if given != options.size:
            asked = "{}x{}".format(*options.size)
            report(f"--camera {device} has no {asked}, and gives {given[0]}x{given[1]}. See --list-cameras")
    return OpenCVCamera(device, capture, cv2)


def open_stream(url: str, options: CameraOptions, content: str | None = None) -> OpenCVCamera:
    """Open an address that FFmpeg supports, such as rtsp://; certificates of https and rtsps are verified.

    `content` is what the address sends, where that is known. Raises SourceError and MissingPackageError, and
    OptionError where `options` has a size.
    """
    refuse_size(options)
    cv2 = import_opencv(f"--camera {redact(url)}" + (f", {content}," if content else ""))
    limits = {
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: _OPEN_LIMIT_MS,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC: int(max(options.patience * 1000, _OPEN_LIMIT_MS)),
    }
    # With n threads FFmpeg delays frames by n - 1; not all versions of OpenCV can set the number.
    if hasattr(cv2, "CAP_PROP_N_THREADS"):
        limits[cv2.CAP_PROP_N_THREADS] = 1
    with _environment_for(url):
        capture = _capture(cv2, url, cv2.CAP_FFMPEG, limits)
    if not capture.isOpened() or not capture.grab():
        capture.release()
        sends = f"OpenCV gets no pictures from {content}" if content else "it sends no pictures"
        raise SourceError(
            f"{sends}. Check the address, the network, the user name and the password; a player "
            "such as ffplay shows more details"
        )
    return OpenCVCamera(redact(url), capture, cv2)


def open_video(path: str, options: CameraOptions) -> VideoFile:
    """Open a video file to play it in real time; raises SourceError, MissingPackageError and OptionError."""
    refuse_size(options)
    if not _is_regular(path):
        raise SourceError(
            "there is no such video file. Give a camera's number (0), picamera, auto, a stream's address "
            "(http://..., rtsp://...) or a video file"
        )
    cv2 = import_opencv(f"--camera {path}")
    capture = _capture(cv2, path, cv2.CAP_ANY)
    if not capture.isOpened():
        raise SourceError("OpenCV cannot decode it: is it a video?")
    if not capture.grab():
        capture.release()
        raise SourceError("it holds no frames that OpenCV can decode")
    _require_converted(cv2, path)
    return VideoFile(path, capture, cv2)


def _require_converted(cv2: Any, path: str) -> None:
    from .interlaced import is_affected, require_converted

    if not is_affected(cv2):  # The film would be opened twice for nothing.
        return
    capture = _capture(cv2, path, cv2.CAP_ANY)
    try:
        (_, first), (_, second) = capture.read(), capture.read()
        require_converted(cv2, Path(path), first, second)
    except ImageError as error:
        raise SourceError(str(error).removeprefix(f"{path} is ")) from None
    finally:
        capture.release()


def _capture(cv2: Any, what: str | int, backend: int, settings: dict[int, int] | None = None) -> Any:
    flat = [value for pair in (settings or {}).items() for value in pair]
    try:
        return cv2.VideoCapture(what, backend, flat)
    except cv2.error as error:
        raise SourceError(f"OpenCV failed ({_first_line(error)})") from None


def _configure(cv2: Any, capture: Any, options: CameraOptions) -> None:
    # With one buffer many drivers give half the rate: they cannot fill it while we read it.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 2)
    width, height = options.size or (0, 0)
    if width * height > _UNCOMPRESSED_PIXELS or (options.fps or 0) > _UNCOMPRESSED_FPS:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    if options.size is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
    if options.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, options.fps)


def _retrieve(capture: Any) -> PixelPicture | None:
    good, pixels = capture.retrieve()
    return PixelPicture(pixels) if good else None


@contextmanager
def _environment_for(url: str) -> Iterator[None]:
    """Have FFmpeg verify certificates, and use no proxy in the own network, by environment variables."""
    wanted: dict[str, str] = {}
    if url.lower().startswith(("https:", "rtsps:")) and _FFMPEG_OPTIONS not in os.environ:
        import ssl

        file = ssl.get_default_verify_paths().cafile or _CERTIFICATES
        # OpenCV's own default, which the variable replaces, is rtsp_transport;tcp.
        wanted[_FFMPEG_OPTIONS] = f"rtsp_transport;tcp|tls_verify;1|ca_file;{file}"
        if url.lower().startswith("https:"):  # Else FFmpeg follows a redirect, or a playlist, to http:.
            wanted[_FFMPEG_OPTIONS] += f"|protocol_whitelist;{_ENCRYPTED_PROTOCOLS}"
    if url.lower().startswith(("http:", "https:")) and os.environ.get("http_proxy"):
        from .proxies import host_of, is_in_own_network

        if is_in_own_network(host_of(url)):
            wanted["no_proxy"] = ",".join(filter(None, (os.environ.get("no_proxy"), host_of(url))))
    with _ENVIRONMENT:
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(Path(path).stat().st_mode)
    except (OSError, ValueError):  # The name is too long, or holds a NUL.
        return False


def _first_line(error: Exception) -> str:
    return redact(str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__)
