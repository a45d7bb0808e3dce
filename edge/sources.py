"""Where pictures come from: files and folders, or a camera, stream or video through OpenCV."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from .errors import ImageError, MissingPackageError, SourceError
from .image import from_bgr, is_image_name, load_image

TIMEOUT_MS = 10_000
_MAX_CAMERA = 2**31 - 1
_ASSUMED_FPS = 25.0  # Of a video file that doesn't state its rate.


@dataclass(frozen=True)
class Frame:
    """One picture, or the reason why there is none.

    `index` counts the frames of a live source from 0 and is None for files. `grabbed` is
    time.monotonic() when a live frame was taken; `decode_ms` what reading it cost.
    """

    source: str
    image: Image.Image | None
    error: str | None = None
    index: int | None = None
    grabbed: float | None = None
    decode_ms: float = 0.0


_Shot = tuple[int, float, Any, float]  # Index, when it was grabbed, pixels, milliseconds to decode it.


class Source(Protocol):
    """Anything that yields frames; `live` ones yield what is seen now, not every picture in order."""

    live: bool

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the source ends; raises SourceError when a live source is lost."""
        ...


class FileSource:
    """Image files in the order given. A file that cannot be read is a Frame with an error."""

    live = False

    def __init__(self, paths: Sequence[Path]) -> None:
        """Take the files to read; see `find_images` for folders."""
        self.paths = paths

    def __iter__(self) -> Iterator[Frame]:
        """Decode one file after the other."""
        for path in self.paths:
            started = time.perf_counter()
            try:
                image = load_image(path)
            except ImageError as error:
                yield Frame(str(path), None, str(error))
            else:
                yield Frame(str(path), image, decode_ms=(time.perf_counter() - started) * 1000)


class _Newest:
    """Reads a capture in a thread, so that a slow model sees the newest frame and not a growing queue."""

    def __init__(self, capture: Any) -> None:
        self.count = 0
        self._capture = capture
        self._shot: _Shot | None = None
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[_Shot]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._shot is not None or self._ended)
                shot, self._shot = self._shot, None
            if shot is None:
                return
            yield shot

    def close(self) -> None:
        self._ended = True
        self._thread.join(1)
        if not self._thread.is_alive():  # It may be stuck in a stream that stalls.
            self._capture.release()

    def _read(self) -> None:
        try:
            while not self._ended and self._capture.grab():
                grabbed, started = time.monotonic(), time.perf_counter()
                ok, pixels = self._capture.retrieve()
                decode_ms = (time.perf_counter() - started) * 1000
                with self._changed:
                    if ok:
                        self._shot = self.count, grabbed, pixels, decode_ms
                    self.count += 1
                    self._changed.notify()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()


class CameraSource:
    """A camera by number, a stream by URL, or a video file played in real time."""

    live = True

    def __init__(self, name: str) -> None:
        """Open the source; raises SourceError when it cannot be opened, naming it without passwords."""
        self.name = redact(name)
        self._cv2 = _import_cv2()
        self._is_file = not name.isdecimal() and "://" not in name
        if self._is_file and not os.path.isfile(name):  # noqa: PTH113 - Path's raises on long names.
            raise SourceError(
                f"--camera {self.name}: no such video file. Give a camera's number (0), a stream's URL "
                "(http://..., rtsp://...) or a video file"
            )
        self._capture = self._open(name)
        if not self._capture.isOpened():
            raise SourceError(f"--camera {self.name} cannot be opened. {self._remedy(name)}")

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames as they come; a video file keeps its own pace and skips what is too late."""
        for index, grabbed, pixels, decode_ms in self._play_file() if self._is_file else self._grab():
            yield Frame(self.name, from_bgr(pixels), None, index, grabbed, decode_ms)

    def _open(self, name: str) -> Any:
        cv2 = self._cv2
        if not name.isdecimal():
            limits = cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS
            return cv2.VideoCapture(name, cv2.CAP_ANY, [] if self._is_file else limits)
        capture = cv2.VideoCapture(min(int(name), _MAX_CAMERA))
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # Where the driver obeys, frames don't queue up.
        return capture

    def _grab(self) -> Iterator[_Shot]:
        newest = _Newest(self._capture)
        try:
            yield from newest
        finally:
            newest.close()
        raise SourceError(f"--camera {self.name} gave no more frames after {newest.count}")

    def _play_file(self) -> Iterator[_Shot]:
        rate = self._capture.get(self._cv2.CAP_PROP_FPS)
        interval = 1 / (rate if 0 < rate <= 1000 else _ASSUMED_FPS)
        began = time.monotonic()
        index = 0
        while self._capture.grab():
            due = began + index * interval
            if time.monotonic() < due + interval:
                time.sleep(max(0.0, due - time.monotonic()))
                started = time.perf_counter()
                ok, pixels = self._capture.retrieve()
                if ok:
                    yield index, due, pixels, (time.perf_counter() - started) * 1000
            index += 1
        if index == 0:
            raise SourceError(f"--camera {self.name} holds no frames that OpenCV can decode")

    def _remedy(self, name: str) -> str:
        if self._is_file:
            return "OpenCV cannot decode it: is it a video?"
        if not name.isdecimal():
            return "Check the address, the network and the password"
        cameras = sorted(str(path) for path in Path("/dev").glob("video*"))
        if cameras:
            return f"Found: {', '.join(cameras)}. Is another program using it, are you in group video?"
        return "This machine shows no camera (/dev/video*): is one plugged in?"


def find_images(paths: Iterable[Path], recursive: bool) -> list[Path]:
    """Replace folders by the image files in them, in natural order; other paths stay as they are.

    Hidden files are left out, links to folders are not followed. Raises SourceError for a folder
    that cannot be read or holds no images.
    """
    found: list[Path] = []
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 - Path's raises on names that are too long.
            found.append(path)
            continue
        inside = sorted(_walk(path, recursive), key=natural_key)
        if not inside:
            hint = "" if recursive else " (sub-folders are searched with --recursive)"
            raise SourceError(f"{path} holds no images{hint}")
        found += inside
    return found


def natural_key(path: Path) -> list[tuple[bool, int, str]]:
    """Sort key under which 2 comes before 10."""
    parts = re.split(r"(\d+)", str(path))
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def redact(name: str) -> str:
    """Return a URL without what may be secret: user name, password and query; anything else as it is.

    Everything up to the last @ goes, since people forget to escape a password's slashes.
    """
    scheme, separator, rest = name.partition("://")
    if not separator:
        return name
    hidden = "***@" if "@" in rest else ""
    address, mark, _ = rest.rpartition("@")[2].partition("?")
    return f"{scheme}://{hidden}{address}{mark and '?***'}"


def _walk(folder: Path, recursive: bool) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        for name in names:
            if is_image_name(path := Path(root, name)) and path.is_file():
                yield path


def _refuse(error: OSError) -> None:
    raise SourceError(f"{error.filename} cannot be read ({error.strerror})") from None


def _import_cv2() -> Any:
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ModuleNotFoundError:
        raise MissingPackageError("OpenCV", "--camera", "edge-classify[camera]") from None
    except ImportError as error:  # A system library is missing, such as libGL.so.1 on a bare Debian.
        raise SourceError(
            f"OpenCV is installed and cannot be loaded ({error}). On Debian: apt install libgl1 libglib2.0-0"
        ) from None
    return cv2
