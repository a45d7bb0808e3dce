"""Pictures in files: images, folders, animations, videos, and lists of paths on standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from PIL import Image

from ..decoding import DecodedFrame, Decoder, stand_in
from ..errors import SourceError
from ..picture_kinds import (
    HEAD,
    SUFFIXES,
    VIDEO_SUFFIXES,
    is_film_in_folder,
    is_film_start,
    kind_not_read,
    starts_as_picture,
)
from .addresses import redact
from .frames import EncodedPicture, FilePicture, Frame, ReadyPicture
from .listing import LISTING, read_listing, require_list
from .paths import OtherFiles, count_images, require_images, walk_images

_STILL_SUFFIXES = (".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".ppm")
_PACKET = 188  # Bytes in a packet of an MPEG transport stream, which begins with _SYNC.
_SYNC = 0x47
_CHUNK = 65_536
_PNG = b"\x89PNG\r\n\x1a\n"
_LARGEST_PICTURE = 512 * 2**20  # Bytes that are kept in memory.


class FileSource:
    """The pictures of files in the given order; a file that cannot be read is a frame with an error.

        for frame in FileSource(["photos", "film.mp4"], recursive=True):
            print(frame.source, frame.error or classifier.classify(frame.picture).best)

    A path is an image file, a folder of images, a video, or "-" for a list of such paths, or one image, on
    standard input.
    Animations and videos give every frame. A file is a video by the suffix of its name or, where the suffix
    is unknown, by its first bytes. A folder gives every file that looks like an image, by its suffix or its
    first bytes; a video in a folder is a frame with an error, and `others` counts the files that look like
    neither. An image with the suffix of a JPEG is never taken for an animation.
    """

    live = False

    def __init__(
        self, paths: Sequence[str | Path], recursive: bool = False, listing: Iterable[bytes] | None = None
    ) -> None:
        """Check the paths, without reading the pictures.

        `listing` is the list for "-", in pieces of any size; None means standard input. Raises SourceError
        for an empty path, and for a folder that cannot be read or holds no images, and MissingPackageError
        for a video alone without OpenCV.
        """
        self._paths = [str(path) for path in paths]
        if "" in self._paths:  # Path("") is the current folder.
            raise SourceError("an empty path was given. Is a variable of the shell unset?")
        self._recursive = recursive
        self._listing = listing
        self._countable = True
        self.others = OtherFiles()
        for path in map(Path, self._paths):
            if str(path) == LISTING:
                self._countable = False
            elif _is_folder(path):
                require_images(path, recursive)
            elif is_video(path):
                if len(self._paths) == 1:  # Among others, a video without OpenCV is an error of its frame.
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
            yield from self._listed(_standard_input() if self._listing is None else self._listing)

    def close(self) -> None:
        """Do nothing: each file is closed after its last frame."""

    def _listed(self, chunks: Iterable[bytes]) -> Iterator[Frame]:
        """Yield the frames of a list, or the picture that came instead of a list."""
        rest = iter(chunks)
        start = _first_bytes(rest)
        if starts_as_picture(start[:HEAD]):
            if kind := kind_not_read(start[:HEAD]):
                raise SourceError(
                    f"{LISTING}: standard input holds {kind}, and no list of paths. Name the file"
                )
            yield Frame(LISTING, EncodedPicture(_read_picture(start, rest)))
            return
        require_list(start)
        for entry in read_listing(chain([start], rest)):
            if "://" in entry:
                shown = redact(entry)
                yield Frame(shown, None, f"{shown} is an address, and no path of a file")
            else:
                yield from self._frames(Path(entry))

    def _frames(self, path: Path) -> Iterator[Frame]:
        if not _is_folder(path):
            yield from _file_frames(path)
            return
        try:
            require_images(path, self._recursive)
        except SourceError as error:
            yield Frame(str(path), None, str(error))
            return
        for found in walk_images(path, self._recursive, self.others):
            if isinstance(found, SourceError):
                yield Frame(str(path), None, str(found))
            elif is_film_in_folder(found):
                reason = "is a film, and those in folders are not read. Name the file itself"
                yield Frame(str(found), None, f"{found} {reason}")
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
        with path.open("rb", buffering=0) as file:
            head = file.read(HEAD)
            if head[:1] == bytes([_SYNC]):
                head += file.read(_PACKET + 1 - len(head))
    except (OSError, ValueError):  # ValueError: the name holds a NUL.
        return False
    transport_stream = len(head) > _PACKET and head[0] == head[_PACKET] == _SYNC
    return transport_stream or is_film_start(head)


def _first_bytes(chunks: Iterator[bytes]) -> bytes:
    """Return the first bytes of a list: its first entry, or as many as tell a picture."""
    start = b""
    # A PNG's signature holds line breaks.
    while (
        len(start) < HEAD
        and (b"\n" not in start or _PNG.startswith(start[: len(_PNG)]))
        and (chunk := next(chunks, b""))
    ):
        start += chunk
    return start


def _read_picture(start: bytes, rest: Iterator[bytes]) -> bytes:
    parts, size = [start], len(start)
    for chunk in rest:
        parts.append(chunk)
        size += len(chunk)
        if size > _LARGEST_PICTURE:
            limit = f"{_LARGEST_PICTURE // 2**20} MiB"
            raise SourceError(
                f"{LISTING}: the picture on standard input is larger than {limit}. Name the file"
            )
    return b"".join(parts)


def _standard_input() -> Iterator[bytes]:
    if sys.stdin is None:
        raise SourceError(f"{LISTING} means a list of paths on standard input, which is closed")
    while chunk := os.read(sys.stdin.fileno(), _CHUNK):  # The bytes that are there, without waiting.
        yield chunk


def _file_frames(path: Path) -> Iterator[Frame]:
    suffix = path.suffix.lower()
    if suffix not in _STILL_SUFFIXES:  # Most files: nothing to check before decoding.
        moving = _moving_frames(path) if (decoder := stand_in()) is None else _decoded(path, decoder)
        if moving is not None:
            yield from moving
            return
    yield Frame(str(path), FilePicture(path))


def _moving_frames(path: Path) -> Iterator[Frame] | None:
    """Return the frames of a video or an animation; None for anything else."""
    if is_video(path):
        from .videos import video_frames

        return video_frames(path)
    from .animations import animation_frames, is_animated

    return animation_frames(path) if is_animated(path) else None


def _decoded(path: Path, decoder: Decoder) -> Iterator[Frame] | None:
    """Return such frames as `decoder` gives them."""
    frames = decoder.film(path) if is_video(path) else decoder.animation(path)
    return None if frames is None else (_to_frame(path, frame) for frame in frames)


def _to_frame(path: Path, frame: DecodedFrame) -> Frame:
    picture = None if frame.pixels is None else ReadyPicture(Image.fromarray(frame.pixels))
    return Frame(str(path), picture, frame.error, frame.index, None, frame.seconds)


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - Path's raises on names that are too long.
