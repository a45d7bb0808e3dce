"""The pictures in a stream of bytes, found by themselves.

Cameras send boundaries that are missing, differ from the header's or are glued to the next line, lengths that
are wrong, bytes behind a picture, and pictures without their end marker. So all of that is only a hint here:
what lies between two pictures is skipped, whatever it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from ..errors import SourceError
from .http_content import describe
from .picture_ends import LONGEST_START, MAX_PICTURE, START, PictureEnd, picture_end

MAX_BETWEEN = 4 * 2**20  # Bytes without a picture after which a stream counts as none.
_MOST_HEADERS = 8192  # Bytes before a picture that are taken for its headers.
_SHORTEST_BOUNDARY = 6  # Bytes: a shorter one may occur in a picture by chance.
# Pictures in a row that are taken for parts of the picture before, as in MPO files, though a camera that
# sends headers only once would send such frames.
_MOST_WITHOUT_MARK = 8
_LENGTH = re.compile(rb"content-length\s*:\s*(\d{1,9})\s*$", re.IGNORECASE | re.MULTILINE)
_ANY_HEADER = b"content-"
_PRINTABLE = re.compile(rb"[\x20-\x7e]+")
_HEADER = re.compile(rb"[A-Za-z][\w-]*\s*:")


class StreamPicture(NamedTuple):
    """A picture's bytes; `whole` is whether it has its own end, `readable` whether pixels may be there."""

    data: bytes
    whole: bool
    readable: bool


class PictureStream:
    """Yields JPEGs, PNGs and WebPs as soon as their last byte is there; `pictures` counts them."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        """Take bytes from `read`, which returns them as they arrive, and none at the end."""
        self.pictures = 0
        self._read = read
        self._buffer = bytearray()
        self._from = 0  # Where the next picture is looked for.
        self._between = 0  # Bytes since the last picture.
        self._start = b""  # The first of them.
        self._end: PictureEnd | None = None
        self._headers = _PartHeaders()
        self._mark = b""  # What stands before every picture.
        self._without_mark = 0

    def next(self) -> StreamPicture | None:
        """Wait for the next picture; return None at the end of the stream.

        A picture without its own end ends at the next one, at a boundary or at the end of the stream. Raises
        SourceError for a picture above MAX_PICTURE, after MAX_BETWEEN bytes without one, for a stream that
        ends without any, and what `read` raises.
        """
        while (found := self._take()) is None:
            data = self._read()
            if not data:
                return self._finish()
            self._buffer += data
            if self._end is None:
                self._between += len(data)
                self._start = (self._start + data)[:64] if len(self._start) < 64 else self._start
            if self._end is not None and len(self._buffer) > MAX_PICTURE + _MOST_HEADERS:
                raise SourceError(f"it sends a picture of more than {MAX_PICTURE} bytes")
            if self._between > MAX_BETWEEN:
                raise SourceError(self._describe_rest())
        return found

    @property
    def received(self) -> str:
        """What has come in place of pictures; empty where nothing has, or only what may be headers."""
        is_other = self._between > _MOST_HEADERS or (self._between and not self.pictures)
        return self._describe_rest() if is_other and self._end is None else ""

    def _describe_rest(self) -> str:
        if not self._between:
            return "nothing came"
        return f"in {self._between} bytes came no JPEG, PNG or WebP, but {describe(self._start)}"

    def _take(self) -> StreamPicture | None:
        """Return the first picture in the buffer, if all of it is there."""
        if self._end is None and not self._find_start():
            return None
        assert self._end is not None  # For the type checker: _find_start has set it.
        end = self._end.find(self._buffer)
        limit = self._headers.limit(self._buffer, self._end.readable)
        if limit is not None and (end is None or limit < end):
            end, self._end.whole = limit, False
        return None if end is None else self._cut(end)

    def _find_start(self) -> bool:
        """Bring the next picture to the start of the buffer; return False where there is none."""
        while found := START.search(self._buffer, self._from):
            at, start = found.start(), bytes(found[0])
            before = bytes(self._buffer[max(0, at - _MOST_HEADERS) : at])
            if self._is_own_picture(before):
                self._headers.read(before)
                if not self.pictures:
                    self._mark = self._headers.mark
                del self._buffer[:at]
                self._end = picture_end(start)
                self._between, self._start = 0, b""
                return True
            self._from = found.end()
        dropped = max(0, len(self._buffer) - _MOST_HEADERS)
        del self._buffer[:dropped]
        self._from = max(0, self._from - dropped, len(self._buffer) - LONGEST_START)
        return False

    def _is_own_picture(self, before: bytes) -> bool:
        """Return whether a picture is no part of the one before it, such as the second one of an MPO file.

        Where a boundary or headers stand before the first picture, one of them does before each.
        """
        if self._mark in before.lower() or _ANY_HEADER in before.lower():
            self._without_mark = 0
            return True
        self._without_mark += 1
        if self._without_mark > _MOST_WITHOUT_MARK:
            self._mark = b""
        return not self._mark

    def _cut(self, end: int) -> StreamPicture:
        assert self._end is not None
        with memoryview(self._buffer) as view:  # A slice of the buffer would be one copy more.
            data = bytes(view[:end])
        found = StreamPicture(data, self._end.whole, self._end.whole or self._end.readable)
        del self._buffer[:end]
        self._headers.compare(end)
        self._from, self._end, self._between = 0, None, len(self._buffer)
        self._start = bytes(self._buffer[:64])
        self.pictures += 1
        return found

    def _finish(self) -> StreamPicture | None:
        if self._end is not None:
            return self._cut(len(self._buffer))
        if not self.pictures:
            raise SourceError(self._describe_rest())
        return None


class _PartHeaders:
    """What stands before a picture of a stream; `mark`, in lower case, is a boundary or a header."""

    def __init__(self) -> None:
        self.mark = b""
        self._boundary = b""
        self._length = 0
        self._length_holds = False
        self._searched = 0

    def read(self, text: bytes) -> None:
        """Take the text before a picture."""
        self._searched = 0
        lengths = _LENGTH.findall(text)
        self._length = int(lengths[-1]) if lengths else 0
        self._boundary = _boundary_of(text)
        self.mark = self._boundary.lower()

    def limit(self, data: bytearray, readable: bool) -> int | None:
        """Return where the picture that `data` begins with ends at the latest, by what stood before it."""
        if len(self._boundary) >= _SHORTEST_BOUNDARY:
            at = data.find(self._boundary, max(LONGEST_START, self._searched - len(self._boundary)))
            self._searched = len(data)
            if at >= 0:
                return len(bytes(data[:at]).removesuffix(b"\n").removesuffix(b"\r"))
        # Only a length that was right for the last picture is believed.
        held = readable and self._length_holds and 0 < self._length <= len(data)
        return self._length if held else None

    def compare(self, end: int) -> None:
        """Learn from a picture of `end` bytes whether lengths are right."""
        self._length_holds = self._length == end


def _boundary_of(text: bytes) -> bytes:
    """Return the line before the headers of a part, what is glued to the first of them, or else that one."""
    first_header = b""
    for line in reversed(text.splitlines()):
        at = line.lower().find(_ANY_HEADER)
        if at > 0 or (line.strip() and not _HEADER.match(line)):
            boundary = line[:at] if at > 0 else line
            boundary = boundary[max(0, boundary.find(b"--")) :].strip()
            return boundary if _PRINTABLE.fullmatch(boundary) else b""  # Else it is a part of a picture.
        first_header = line.strip() or first_header
    return first_header
