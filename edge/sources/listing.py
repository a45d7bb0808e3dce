"""Lists of paths on standard input, and what else comes there in their place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

from ..errors import SourceError
from ..placeholders import PLACEHOLDER_BYTES, placeholder

LISTING = "-"
_LONGEST_ENTRY = 65_536  # Longer than any system's paths.
_UTF_8_MARK = b"\xef\xbb\xbf"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_ARCHIVES = {b"PK\x03\x04": "a zip", b"\x1f\x8b": "a gzip", b"7z\xbc\xaf": "a 7z", b"%PDF-": "a PDF"}
# Names may hold any byte but NUL: escapes of colours are met with, several other control characters are not.
_EXPECTED_CONTROLS = b"\0\t\n\r\x1b"
_SEVERAL = 2


def require_list(start: bytes) -> None:
    """Raise SourceError where the bytes that standard input begins with are those of no list of paths."""
    if not start:
        raise SourceError(f"{LISTING}: standard input is empty, without a path or a picture")
    if kind := _kind_of(start):
        raise SourceError(
            f"{LISTING}: standard input holds {kind}, and no list of paths. Give one path per line, or paths "
            "separated by NULs (find -print0)"
        )


def _kind_of(start: bytes) -> str | None:
    """Return what a text or file is that is no list of paths, by its beginning; None for a list."""
    if start.startswith(_UTF_16_MARKS) or re.match(rb"([^\0]\0){4}|(\0[^\0]){4}", start):
        return "text in UTF-16"
    if instead := placeholder(start[:PLACEHOLDER_BYTES]):
        return "a web page" if "web page" in instead else "a Git LFS pointer"
    for signature, kind in _ARCHIVES.items():
        if start.startswith(signature):
            return f"{kind} file"
    controls = {byte for byte in start if byte < 0x20 and byte not in _EXPECTED_CONTROLS}
    return "binary data" if bytes(3) in start or len(controls) >= _SEVERAL else None


def read_listing(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the paths of a list as it arrives, separated by NULs if the first one ends so, else by lines.

    Empty lines, the CR before a line's end, and the mark that Windows begins UTF-8 with are dropped. Raises
    SourceError for an entry that is too long for a path.
    """
    separator = None
    rest = b""
    for chunk in chunks:
        rest += chunk
        if separator is None:
            separator = next((mark for mark in (b"\0", b"\n") if mark in rest), None)
            rest = rest.removeprefix(_UTF_8_MARK)
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
