"""The parts of a multipart/x-mixed-replace stream, also as cameras send it against the standard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from ..errors import SourceError

MAX_PART = 64 * 2**20  # Bytes: far more than a JPEG of 50 megapixels has.
_MAX_LINE = 8192
_MAX_HEADERS = 100
_LENGTH = re.compile(rb"content-length\s*:\s*(\d{1,15})\s*$", re.IGNORECASE)
_START, _END = b"\xff\xd8", b"\xff\xd9"  # A JPEG's markers SOI and EOI: ITU-T T.81, table B.1.


class ByteStream(Protocol):
    """A connection to read from."""

    def readline(self, limit: int = -1, /) -> bytes:
        """Read up to the next newline, with it, or `limit` bytes."""
        ...

    def read(self, size: int = -1, /) -> bytes:
        """Read `size` bytes, or fewer at the end."""
        ...


def read_parts(stream: ByteStream, boundary: str) -> Iterator[bytes]:
    """Yield the body of each part until the stream ends.

    A part ends by its Content-Length or, without one, at the next boundary. `boundary` may be written with or
    without the dashes before it, since cameras do both. Raises SourceError for parts above MAX_PART, and the
    errors of `stream`.
    """
    mark = boundary.strip("-").encode(errors="replace")
    _, found = _read_to_boundary(stream, mark)
    while found and (length := _read_headers(stream)) is not None:
        if length:
            yield stream.read(length)
            _, found = _read_to_boundary(stream, mark)
        else:
            body, found = _read_to_boundary(stream, mark)
            yield body


def is_whole_jpeg(data: bytes) -> bool:
    """Return whether the bytes start and end like a JPEG, with or without padding behind it."""
    return data.startswith(_START) and (data.endswith(_END) or data.rstrip(b"\0\r\n\t ").endswith(_END))


def _read_headers(stream: ByteStream) -> int | None:
    """Return the part's Content-Length, 0 where it has none, or None at the end of the stream."""
    length = 0
    for _ in range(_MAX_HEADERS):
        line = stream.readline(_MAX_LINE)
        if not line.strip():
            return length if line else None
        if given := _LENGTH.match(line):
            length = int(given[1])
            if length > MAX_PART:
                raise SourceError(_too_large(length))
    raise SourceError("it sends no stream of pictures: a part has more than 100 headers")


def _read_to_boundary(stream: ByteStream, mark: bytes) -> tuple[bytes, bool]:
    """Return the bytes before the next boundary, and whether the stream had another boundary."""
    lines: list[bytes] = []
    size = 0
    while line := stream.readline(_MAX_LINE):
        if line.startswith(b"--") and line.strip().strip(b"-") == mark:
            return b"".join(lines).removesuffix(b"\n").removesuffix(b"\r"), True
        lines.append(line)
        size += len(line)
        if size > MAX_PART:
            raise SourceError(_too_large(size))
    return b"".join(lines), False


def _too_large(size: int) -> str:
    return f"it sends a picture of {size} bytes, and at most {MAX_PART} are allowed"
