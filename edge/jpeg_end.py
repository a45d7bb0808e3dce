"""JPEG files without an end marker: read where all their pixels are there, as viewers do.

Pillow waits for the marker, and some cameras do not send it. A decoder that is given the marker fills what is
missing of a picture with grey. So the picture is decoded twice more with other bytes before the marker: a
decoder that has all pixels ignores them, and one that has not takes them for pixels.
"""

from __future__ import annotations

import io
import os
from typing import BinaryIO

from .errors import ImageError

_END = b"\xff\xd9"
_FILLINGS = (b"\x5a" * 64, b"\xa5\x3c" * 32)  # No 0xff, which would be a marker.
_SCAN = 0xDA
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD9))
_CUT_OFF = "the picture is damaged or cut off: the file ends before its last pixels"


class EndedJpeg(io.RawIOBase):
    """A JPEG file that is followed by an end marker; `used` is whether the marker was read."""

    def __init__(self, file: BinaryIO) -> None:
        """Read from `file`, which stays the caller's to close."""
        self.used = False
        self._file = file

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move in the file; the marker is given at its end again."""
        self.used = False
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place in the file."""
        return self._file.tell()

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes of the file, and once at its end the marker."""
        data = self._file.read(size)
        if not data and size != 0 and not self.used:
            self.used = True
            return _END
        return data

    def require_all_pixels(self, most_pixels: int) -> None:
        """Raise ImageError if the marker was needed, and the file does not hold all pixels of its picture.

        Pictures of more than `most_pixels` are compared at an eighth of their size.
        """
        if not self.used:
            return
        self._file.seek(0)
        data = self._file.read().rstrip(b"\xff")  # The first half of a marker.
        try:
            first, *others = (_decode(data + filling + _END, most_pixels) for filling in (b"", *_FILLINGS))
        except (OSError, SyntaxError, ValueError):
            raise ImageError(_CUT_OFF) from None
        if any(other != first for other in others) or not _has_all_scans(data):
            raise ImageError(_CUT_OFF)


def _decode(data: bytes, most_pixels: int) -> bytes:
    from PIL import JpegImagePlugin

    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    if image.width * image.height > most_pixels:
        image.draft(None, (1, 1))
    return image.tobytes()


def _has_all_scans(data: bytes) -> bool:
    """Return whether the scans hold all bits of all coefficients of each component (ITU-T T.81, B.2.3)."""
    missing: dict[int, set[int]] = {}
    at = 2
    while 0 <= (at := data.find(b"\xff", at)) < len(data) - 3:
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if kind in (0x00, 0xFF) or kind in _WITHOUT_LENGTH:  # Within a scan, or filling before a marker.
            at += 1 if kind == 0xFF else 2
            continue
        part = data[at + 4 : at + 2 + length]
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC) and len(part) >= 6:
            missing = {number: set(range(64)) for number in part[6 : 6 + 3 * part[5] : 3]}
        elif kind == _SCAN and part and len(part) >= 4 + 2 * part[0]:
            first, last, bits = part[1 + 2 * part[0] : 4 + 2 * part[0]]
            for number in part[1 : 1 + 2 * part[0] : 2]:
                if bits & 15 == 0:  # The lowest bit.
                    missing.get(number, set()).difference_update(range(first, last + 1))
        elif data[at : at + 2] == _END:
            break
        at += 2 + length
    return bool(missing) and not any(missing.values())
