"""Pictures in files: images, folders, animations, videos, and lists of paths on standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..errors import SourceError
from ..image import SUFFIXES
from .frames import FilePicture, Frame
from .paths import count_images, require_images, walk_images

LISTING = "-"
VIDEO_SUFFIXES = (
    ".3gp", ".asf", ".avi", ".flv", ".h264", ".h265", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov",
    ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv",
)  # fmt: skip
_STILL_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".ppm")
_PACKET = 188  # Bytes in a packet of an MPEG transport stream, which begins with _SYNC.
_SYNC = 0x47
_VIDEO_STARTS = (
    b"\x1a\x45\xdf\xa3",  # EBML: Matroska, WebM.
    b"FLV\x01",
    b"\0\0\x01\xba",  # MPEG program stream.
    b"\0\0\x01\xb3",  # MPEG-1 and 2 without a container.
)
_STILL_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"avif")  # Photos in the container of MP4.
_CHUNK = 65_536
_LONGEST_ENTRY = 65_536  # Longer than any system's paths.


class FileSource:
    """The pictures of files in the given order; a file that cannot be read is a frame with an error.

        for frame in FileSource(["photos", "film.mp4"], recursive=True):
            print(frame.source, frame.error or classifier.classify(frame.picture).best)

    A path is an image file, a folder of images, a video, or "-" for a list of such paths on standard input.
    Animations and videos give every frame. A file is a video by the suffix of its name or, where the suffix
    is unknown, by its first bytes. Videos in folders are left out. An image with the suffix of a JPEG is
    never taken for an animation.
    """

    live = False

    def __init__(
        self, paths: Sequence[str | Path], recursive: bool = False, listing: Iterable[bytes] | None = None
    ) -> None:
        """Check the paths, without reading the pictures.

        `listing` is the list for "-", in pieces of any size; None means standard input. Raises SourceError
        for a folder that cannot be read or holds no images, and MissingPackageError for a video without
        OpenCV.
        """
        self._paths = [str(path) for path in paths]
        self._recursive = recursive
        self._listing = listing
        self._countable = True
        for path in map(Path, self._paths):
            if str(path) == LISTING:
                self._countable = False
            elif _is_folder(path):
                require_images(path, recursive)
            elif is_video(path):
                from .opencv import import_opencv

                import_opencv(str(path))
                self._countable = False

    @property
    def total(self) -> int | None:
        """The number of files; None where a path is a video or a list."""
        if not self._countable:
            return None
        paths = map(Path, self._paths)
        return sum(count_images(path, self._recursive) if _is_folder(path) else 1 for path in paths)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; raises SourceError for a list that cannot be read."""
        for path in self._paths:
            if path != LISTING:
                yield from self._frames(Path(path))
                continue
            for entry in read_listing(_standard_input() if self._listing is None else self._listing):
                yield from self._frames(Path(entry))

    def close(self) -> None:
        """Do nothing: each file is closed after its last frame."""

    def _frames(self, path: Path) -> Iterator[Frame]:
        if not _is_folder(path):
            yield from _file_frames(path)
            return
        try:
            require_images(path, self._recursive)
        except SourceError as error:
            yield Frame(str(path), None, str(error))
            return
        for found in walk_images(path, self._recursive):
            if isinstance(found, SourceError):
                yield Frame(str(path), None, str(found))
            else:
                yield from _file_frames(found)


def is_video(path: Path) -> bool:
    """Return whether a file is a video, by the suffix of its name or, if unknown, by its first bytes."""
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES or suffix in SUFFIXES:
        return suffix in VIDEO_SUFFIXES
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(_PACKET + 1)
    except (OSError, ValueError):  # ValueError: the name holds a NUL.
        return False
    if head[4:8] == b"ftyp":
        return head[8:12] not in _STILL_BRANDS
    transport_stream = len(head) > _PACKET and head[0] == head[_PACKET] == _SYNC
    return transport_stream or head.startswith(_VIDEO_STARTS) or (head[:4], head[8:12]) == (b"RIFF", b"AVI ")


def read_listing(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the paths of a list as it arrives, separated by NULs if the first one ends so, else by lines.

    Empty lines, and the CR before a line's end, are dropped. Raises SourceError for an entry that is too long
    for a path.
    """
    separator = None
    rest = b""
    for chunk in chunks:
        rest += chunk
        if separator is None:
            separator = next((mark for mark in (b"\0", b"\n") if mark in rest), None)
        if separator is not None:
            *entries, rest = rest.split(separator)
            yield from _decode_entries(entries, separator)
        if len(rest) > _LONGEST_ENTRY:
            raise SourceError(
                f"{LISTING}: the list on standard input holds an entry of more than {_LONGEST_ENTRY} bytes. "
                "Give one path per line, or paths separated by NULs (find -print0)"
            )
    yield from _decode_entries([rest], separator)


def _decode_entries(entries: list[bytes], separator: bytes | None) -> Iterator[str]:
    for entry in entries:
        if path := entry if separator == b"\0" else entry.removesuffix(b"\r"):
            yield os.fsdecode(path)


def _standard_input() -> Iterator[bytes]:
    if sys.stdin is None:
        raise SourceError(f"{LISTING} means a list of paths on standard input, which is closed")
    while chunk := os.read(sys.stdin.fileno(), _CHUNK):  # The bytes that are there, without waiting.
        yield chunk


def _file_frames(path: Path) -> Iterator[Frame]:
    suffix = path.suffix.lower()
    if suffix not in _STILL_SUFFIXES:  # Most files: nothing to check before decoding.
        if is_video(path):
            from .videos import video_frames

            yield from video_frames(path)
            return
        from .animations import animation_frames, is_animated

        if is_animated(path):
            yield from animation_frames(path)
            return
    yield Frame(str(path), FilePicture(path))


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - Path's raises on names that are too long.
