"""Opening a picture's file: which format it has, whether it may be decoded, and errors that name it."""

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

# Named, since Pillow would try all that it knows, and hand PostScript to Ghostscript.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# What is decoded at most: 512 MB as Pillow keeps them, and more than any camera delivers, but for the phones
# with 200 megapixels, whose JPEG files are reduced in decoding.
MAX_PIXELS = 128_000_000
HEAD = 32  # As many bytes as it takes to tell formats apart, in `identify`.
_READERS = {
    "BMP": "BmpImagePlugin.BmpImageFile",
    "GIF": "GifImagePlugin.GifImageFile",
    "JPEG": "JpegImagePlugin.JpegImageFile",  # Of MPO, as phones write it, the first picture.
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
# What Pillow's decoders raise for damaged files, beside OSError.
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
    """Return which of FORMATS a file has whose first HEAD bytes these are; None for any other."""
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    return next((name for name, known in _SIGNATURES.items() if head.startswith(known)), None)


@contextmanager
def open_image(source: Path | bytes) -> Iterator[Image.Image]:
    """Open a picture without decoding it.

    What goes wrong inside the `with`, in decoding it too, is an ImageError that names the file and the cause.
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
    except Image.DecompressionBombError as error:  # A frame or a tile larger than its picture.
        raise ImageError(f"{name} is too large to decode safely ({error})") from None
    except _DECODER_ERRORS as error:
        if isinstance(error, OSError) and error.strerror:  # The system's; a decoder's has none.
            raise ImageError(f"{name} cannot be read ({error.strerror})") from None
        raise ImageError(f"{name} is damaged or cut off ({error or type(error).__name__})") from None


def require_file(path: Path) -> None:
    """Raise ImageError unless this is a regular file: devices and pipes might never end, nor begin."""
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
    """Raise ImageError for a width and height of more than MAX_PIXELS."""
    width, height = size
    if width * height > MAX_PIXELS:
        limit = f"at most {MAX_PIXELS // 10**6} million are decoded"
        raise ImageError(f"it has {width} x {height} pixels, and {limit}. Shrink it first")


def _read_header(file: BinaryIO) -> Image.Image:
    """Return the picture in a file, not decoded; raises as Pillow's decoders do, and ImageError.

    In place of Image.open, whose limit is global, warns, and doesn't know how far a JPEG will be reduced.
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
    if name == "JPEG" and not _is_one_scan(image, file):  # libjpeg keeps the coefficients of all of it.
        require_decodable(image.size)
    return image


@cache
def _silence_tiff() -> None:
    """Keep libtiff and Pillow's TIFF reader from writing to stderr what Pillow raises too.

    For good and not for one file, since other threads write there meanwhile.
    """
    import ctypes
    import logging

    logging.getLogger("PIL").addHandler(logging.NullHandler())  # Python prints what nobody handles.
    with suppress(AttributeError, OSError):  # Where libtiff is no library of its own.
        # The dynamic linker also looks in the libraries that Pillow's was linked with.
        ctypes.CDLL(importlib.import_module("PIL._imaging").__file__).TIFFSetErrorHandler(None)


def _webp_size(head: bytes) -> tuple[int, int]:
    """Return width and height by the first chunk of a WebP file (RFC 9649, 2.5 to 2.7)."""
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
    # Pillow stops behind the scan's header: its length, the number of components, 2 bytes for each, and 3.
    length = 6 + 2 * layers
    file.seek(-length, os.SEEK_CUR)
    return file.read(3) == struct.pack(">HB", length, layers) and "progressive" not in image.info
