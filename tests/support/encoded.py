"""Small encoded pictures, as cameras send them, with what they may hold inside."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image


def encoded(number: int, kind: str = "JPEG", **settings: Any) -> bytes:
    """Return a picture of 96 x 64 pixels of noise, another one for each number."""
    pixels = np.random.default_rng(number).integers(0, 255, (64, 96, 3)).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **settings)
    return buffer.getvalue()


def with_thumbnail(number: int) -> bytes:
    """Return a JPEG with a whole JPEG in its segment APP1, as Exif keeps a thumbnail."""
    picture, inside = encoded(number), b"Exif\0\0" + encoded(number + 1000, quality=20)
    return picture[:2] + b"\xff\xe1" + (len(inside) + 2).to_bytes(2, "big") + inside + picture[2:]


def part(
    data: bytes, boundary: bytes = b"--frame\r\n", length: int | None = None, after: bytes = b"\r\n"
) -> bytes:
    """Return a part of a stream, with headers between the boundary and the picture."""
    size = b"" if length is None else b"Content-Length: %d\r\n" % length
    return boundary + b"Content-Type: image/jpeg\r\n" + size + b"\r\n" + data + after
