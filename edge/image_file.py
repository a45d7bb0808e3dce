"""Opening image files: their format, their limits, and errors with the file's name."""

from __future__ import annotations

import importlib
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from .errors import ImageError

# Only these: Pillow would try every format that it knows, and start Ghostscript for PostScript.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# The most that is decoded: 512 MB in Pillow. Only phones with 200 megapixels deliver more, and their JPEG
# files are decoded at reduced size.
MAX_PIXELS = 128_000_000
HEAD = 32  # Bytes that `identify` needs.
_READERS = {
    "BMP": "BmpImagePlugin.BmpImageFile",
    "GIF": "GifImagePlugin.GifImageFile",
    "JPEG": "JpegImagePlugin.JpegImageFile",  # Also the first picture of an MPO file, which phones write.
    "PNG": "PngImagePlugin.PngImageFile",
    "PPM": "PpmImagePlugin.PpmImageFile",
    "TIFF": "TiffImagePlugin.TiffImageFile",
    "WEBP": "WebPImagePlugin.WebPImageFile",
}
_SIGNATURES = {
    "BMP": (b"BM",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "PPM": (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
}
# Exceptions of Pillow's decoders for damaged files.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    RuntimeError,
)


def identify(head: bytes) -> str | None:
    """Return the format of a file, one of FORMATS, by its first HEAD bytes; None for another format."""
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    return next((name for name, known in _SIGNATURES.items() if head.startswith(known)), None)


@contextmanager
def open_image(source: Path | bytes) -> Iterator[Image.Image]:
    """Open an image, given by its path or its bytes, without decoding it.

    Errors inside the `with` block, also in decoding, are raised as ImageError with the file and the cause.
    """
    name = "image"
    if isinstance(source, Path):
        require_file(source)
        name = str(source)
    try:
        with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            yield _read_header(file)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is no {', '.join(FORMATS)} image: {error}") from None
    except Image.DecompressionBombError as error:  # A frame or a tile is larger than its picture.
        raise ImageError(f"{name} is too large to decode safely ({error})") from None
    except _DECODER_ERRORS as error:
        if isinstance(error, OSError) and error.strerror:  # Errors of decoders have no strerror.
            raise ImageError(f"{name} cannot be read ({error.strerror})") from None
        raise ImageError(f"{name} is damaged or cut off ({error or type(error).__name__})") from None


def require_file(path: Path) -> None:
    """Raise ImageError unless the path is a regular file: reading a device or a pipe might never end."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: the name holds a NUL.
        reason = error.strerror if isinstance(error, OSError) else error
        raise ImageError(f"{path} cannot be read ({reason})") from None
    if stat.S_ISDIR(mode):
        raise ImageError(f"{path} is a folder, not an image")
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFIFO: "a pipe (FIFO)", stat.S_IFSOCK: "a socket"}
        kind = kinds.get(stat.S_IFMT(mode), "a device")
        raise ImageError(f"{path} is {kind}, not a file. Save the picture as a file first")


def require_decodable(size: tuple[int, int]) -> None:
    """Raise ImageError where (width, height) is more than MAX_PIXELS."""
    width, height = size
    if width * height > MAX_PIXELS:
        limit = f"at most {MAX_PIXELS // 10**6} million are decoded"
        raise ImageError(f"it has {width} x {height} pixels, and {limit}. Shrink it first")


def _read_header(file: BinaryIO) -> Image.Image:
    """Return the image in a file, not decoded; raises ImageError and the exceptions of Pillow's decoders.

    It replaces Image.open, whose size limit is global, only warns, and ignores that a JPEG will be reduced.
    """
    head = file.read(HEAD)
    file.seek(0)
    name = identify(head)
    if name is None:
        start = f"it starts with {head[:16]!r}" if head else "it is empty (0 bytes)"
        raise UnidentifiedImageError(start)
    if name == "TIFF":
        _silence_tiff()
    if name == "WEBP":  # Pillow before 13 allocates the whole canvas on opening.
        require_decodable(_webp_size(head))
    module, reader = _READERS[name].split(".")
    image: Image.Image = getattr(importlib.import_module(f"PIL.{module}"), reader)(file)
    if name == "JPEG" and not _is_one_scan(image, file):  # libjpeg keeps all coefficients.
        require_decodable(image.size)
    return image


@cache
def _silence_tiff() -> None:
    """Stop libtiff and Pillow's TIFF reader from writing errors to stderr, which Pillow raises as well.

    This is permanent: redirecting stderr for one file would discard the output of other threads.
    """
    import ctypes
    import logging

    logging.getLogger("PIL").addHandler(logging.NullHandler())  # Without a handler, Python prints.
    with suppress(AttributeError, OSError):  # libtiff is linked statically.
        # dlsym also searches the libraries that Pillow's module was linked with.
        ctypes.CDLL(importlib.import_module("PIL._imaging").__file__).TIFFSetErrorHandler(None)


def _webp_size(head: bytes) -> tuple[int, int]:
    """Return width and height from the first chunk of a WebP file (RFC 9649, 2.5 to 2.7)."""
    kind = head[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = head[26:28], head[28:30]
    return int.from_bytes(width, "little") & 0x3FFF, int.from_bytes(height, "little") & 0x3FFF


def _is_one_scan(image: Image.Image, file: BinaryIO) -> bool:
    """Return whether a JPEG is decoded row by row: not progressive, and all components in the first scan."""
    layers: int = image.layers  # type: ignore[attr-defined]
    # The file is behind the scan's header: length, number of components, 2 bytes for each, and 3 more.
    length = 6 + 2 * layers
    file.seek(-length, os.SEEK_CUR)
    return file.read(3) == struct.pack(">HB", length, layers) and "progressive" not in image.info
