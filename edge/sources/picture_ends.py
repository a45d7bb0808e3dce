"""Where pictures in a stream of bytes begin and end, by their own markers and lengths; nothing is decoded."""

from __future__ import annotations

import re
from typing import Protocol

MAX_PICTURE = 32 * 2**20  # Bytes: more than a JPEG of 50 megapixels has.
# SOI and another marker of ITU-T T.81, table B.1; PNG's signature; RIFF's and WebP's (RFC 9649).
START = re.compile(rb"\xff\xd8\xff+[\xc0-\xcf\xda-\xfe]|\x89PNG\r\n\x1a\n|RIFF.{4}WEBP", re.DOTALL)
LONGEST_START = 12
_PNG = b"\x89PNG"
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_NEXT = b"\xff\xd8\xff"
# What follows FF in a JPEG: any marker before a scan; in a scan only what may end it, since 00 and the
# restart markers belong to it. SOI counts with the marker behind it. A pattern that begins with one fixed
# byte is found ten times faster.
_MARKER = re.compile(rb"\xff(\xd8(?=\xff)|[^\x00\xd8\xff])")
_SCAN_END = re.compile(rb"\xff(\xd8(?=\xff)|[\xc4\xcc\xd9-\xdd\xe0-\xef\xfe])")
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD8))
_MAY_HOLD_PICTURES = (*range(0xE0, 0xF0), 0xFE)  # APPn and COM: Exif holds a thumbnail.
_PNG_CHUNK = re.compile(rb"[A-Za-z]{4}")


class PictureEnd(Protocol):
    """Looks for the end of one picture in a growing buffer that begins with it.

    `whole` is whether its own end was found, and `readable` whether it has a beginning worth decoding.
    """

    whole: bool
    readable: bool

    def find(self, data: bytearray) -> int | None:
        """Return the end; None while it has not arrived. Earlier bytes are not looked at again."""
        ...


class JpegEnd:
    """Goes through a JPEG from segment to segment: what looks like an end inside a segment is none."""

    def __init__(self) -> None:
        """Begin behind SOI."""
        self.whole = self.readable = False
        self._in_scan = False
        self._at = 2

    def find(self, data: bytearray) -> int | None:
        """Return the place behind EOI, or that of the next picture where EOI is missing."""
        while found := (_SCAN_END if self._in_scan else _MARKER).search(data, self._at):
            kind, behind = found[1][0], found.end()
            if kind == _EOI:
                self.whole = True
                return behind
            if kind == _SOI:
                return behind - 2
            if kind in _WITHOUT_LENGTH:
                self._at = behind
                continue
            self._at = found.start()
            length = int.from_bytes(data[behind : behind + 2], "big")
            if len(data) < behind + max(length, 2):
                return None
            self._at = behind + length
            if kind not in _MAY_HOLD_PICTURES and (cut := data.find(_NEXT, behind, self._at)) >= 0:
                return cut
            self._in_scan = kind == _SOS
            self.readable |= self._in_scan
        self._at = max(self._at, len(data) - 3)
        return None


class PngEnd:
    """Goes through a PNG from chunk to chunk, up to IEND (W3C PNG, 5.3)."""

    def __init__(self) -> None:
        """Begin behind the signature."""
        self.whole = self.readable = False
        self._at = 8

    def find(self, data: bytearray) -> int | None:
        """Return the place behind IEND, or that of bytes that are no chunk."""
        while len(data) >= self._at + 8:
            length, kind = (
                int.from_bytes(data[self._at : self._at + 4], "big"),
                data[self._at + 4 : self._at + 8],
            )
            if length > MAX_PICTURE or not _PNG_CHUNK.match(kind):
                return self._at
            if len(data) < self._at + 12 + length:
                return None
            self._at += 12 + length
            if kind == b"IEND":
                self.whole = True
                return self._at
        return None


class WebpEnd:
    """Takes the length from the header of a WebP file (RFC 9649, 2.4)."""

    def __init__(self) -> None:
        """Begin at RIFF."""
        self.whole = self.readable = False

    def find(self, data: bytearray) -> int | None:
        """Return the place behind the last chunk, or behind the header where the length is impossible."""
        end = 8 + int.from_bytes(data[4:8], "little")
        if end > MAX_PICTURE:
            return LONGEST_START
        self.whole = len(data) >= end
        return end if self.whole else None


def picture_end(start: bytes) -> PictureEnd:
    """Return what finds the end of a picture that begins so; `start` is what START matched."""
    if start[0] == _NEXT[0]:
        return JpegEnd()
    return PngEnd() if start.startswith(_PNG) else WebpEnd()
