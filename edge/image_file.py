"""Opening image files: their format, their limits, and errors with the file's name."""

from __future__ import annotations

import importlib
import os
import re
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from .errors import ImageError
from .jpeg_end import EndedJpeg
from .picture_kinds import HEAD, SUFFIXES, identify, kind_not_read
from .placeholders import placeholder

# Only these: Pillow would try every format that it knows, and start Ghostscript for PostScript.
FORMATS = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# The most that is decoded: 512 MB in Pillow. Only phones with 200 megapixels deliver more, and their JPEG
# files are decoded at reduced size.
MAX_PIXELS = 128_000_000
_READERS = {
    "AVIF": "PIL.AvifImagePlugin.AvifImageFile",
    "BMP": "PIL.BmpImagePlugin.BmpImageFile",
    "GIF": "PIL.GifImagePlugin.GifImageFile",
    "HEIF": "pillow_heif.HeifImageFile",
    "JPEG": "PIL.JpegImagePlugin.JpegImageFile",  # Also the first picture of an MPO file, which phones write.
    "PNG": "PIL.PngImagePlugin.PngImageFile",
    "PPM": "PIL.PpmImagePlugin.PpmImageFile",
    "TIFF": "PIL.TiffImagePlugin.TiffImageFile",
    "WEBP": "PIL.WebPImagePlugin.WebPImageFile",
}
# What the optional decoders' files are called, and the remedy where the decoder is not there.
_OPTIONAL = {
    "AVIF": (
        "an AVIF photo, which Pillow reads from version 11.3 on. Run: pip install -U pillow; or convert it "
        "to JPEG"
    ),
    "HEIF": (
        "a HEIC photo, which is read with pillow-heif. Run: {install}; or convert it "
        "to JPEG, or set the phone to take JPEG (iPhone: Settings, Camera, Formats, Most Compatible)"
    ),
}
# What decoders say of files that are whole, and of a kind that they do not decode.
_NOT_SUPPORTED = (
    r"unsupported|not supported|unknown (pixel|raw|image)? ?mode|unrecognized|unknown compression"
    r"|not implemented|cannot handle|decoder .*not available|unknown data organization|bad (image )?mode"
    r"|conversion from .* to|data too large"  # Of a text in a PNG, beyond what Pillow unpacks.
)
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
    struct.error,
    zlib.error,
    RuntimeError,
)


@contextmanager
def open_image(source: Path | bytes, name: str | None = None) -> Iterator[Image.Image]:
    """Open an image, given by its path or its bytes, without decoding it.

    Errors inside the `with` block, also in decoding, are raised as ImageError with the file and the cause;
    `name` is what they call bytes.
    """
    name, known = name or "image", None
    if isinstance(source, Path):
        require_file(source)
        name = str(source)
    try:
        with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            head = file.read(HEAD)
            file.seek(0)
            if (known := identify(head)) == "JPEG":
                ended = EndedJpeg(file)
                yield _read_header(ended, head, known, name)  # type: ignore[arg-type]  # It reads, as files do.
                ended.require_all_pixels(MAX_PIXELS)
            else:
                yield _read_header(file, head, known, name)
    except _NotAnImageError as error:
        raise ImageError(f"{name} is {error}") from None
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    except Image.DecompressionBombError as error:  # A frame or a tile is larger than its picture.
        raise ImageError(f"{name} is too large to decode safely ({error})") from None
    except MemoryError:
        remedy = "Shrink it first, if it is whole"
        raise ImageError(f"{name} takes more memory to decode than there is here. {remedy}") from None
    except _DECODER_ERRORS as error:
        if isinstance(error, OSError) and error.strerror:  # Errors of decoders have no strerror.
            raise ImageError(f"{name} cannot be read ({error.strerror})") from None
        cause = " ".join(str(error).split()) or type(error).__name__
        if re.search(_NOT_SUPPORTED, cause, re.IGNORECASE):
            remedy = "Save it as JPEG or PNG with 8 bits a sample"
            raise ImageError(f"{name} is of a kind that is not supported ({cause}). {remedy}") from None
        kind = f"{'HEIC' if known == 'HEIF' else known}: " if known else ""
        raise ImageError(f"{name} is damaged or cut off ({kind}{cause})") from None


class _NotAnImageError(ImageError):
    """What a file is that is not read, as a phrase that follows "is"."""


def require_known(path: Path) -> None:
    """Raise ImageError for a file that is none of FORMATS, or lacks its decoder; reads HEAD bytes of it."""
    require_file(path)
    try:
        with path.open("rb", buffering=0) as file:
            head = file.read(HEAD)
        known = identify(head)
        _require_known(head, known, path.name)
        _reader(known)
    except _NotAnImageError as error:
        raise ImageError(f"{path} is {error}") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror})") from None


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


def _read_header(file: BinaryIO, head: bytes, known: str | None, name: str) -> Image.Image:
    """Return the image in a file, not decoded; raises ImageError and the exceptions of Pillow's decoders.

    It replaces Image.open, whose size limit is global, only warns, and ignores that a JPEG will be reduced.
    """
    _require_known(head, known, name)
    if known == "TIFF":
        from .tiff import open_page

        _silence_tiff()
        return open_page(_reader(known), file, head)
    if known == "WEBP":  # Pillow before 13 allocates the whole canvas on opening.
        require_decodable(_webp_size(head))
    image: Image.Image = _reader(known)(file)
    if known == "JPEG" and not _is_one_scan(image, file):  # libjpeg keeps all coefficients.
        require_decodable(image.size)
    return image


def _require_known(head: bytes, known: str | None, name: str) -> None:
    """Raise _NotAnImageError for a file that is not read, with what it is and the remedy."""
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - May be no path.
    if kind := kind_not_read(head, suffix):
        remedy = "Convert it to JPEG or PNG"
        if kind.startswith("a film"):
            remedy = "edge-classify takes its frames where the file itself is named"
            remedy += f": rename it, since {suffix} is for images" if suffix in SUFFIXES else ""
        raise _NotAnImageError(f"{kind}, which is not read as an image. {remedy}")
    if instead := None if known else placeholder(head):
        raise _NotAnImageError(instead.removeprefix("is "))
    if known is None:
        start = f"it starts with {head[:16]!r}" if head else "it is empty (0 bytes)"
        raise _NotAnImageError(f"no {', '.join(FORMATS)} image: {start}")


def _reader(known: str | None) -> Callable[[BinaryIO], Image.Image]:
    """Return Pillow's class for a format; raises _NotAnImageError where its decoder is not installed."""
    module, _, name = _READERS[str(known)].rpartition(".")
    try:
        if known == "AVIF":
            importlib.import_module("PIL._avif")
        reader: Callable[[BinaryIO], Image.Image] = getattr(importlib.import_module(module), name)
    except ImportError:
        if known not in _OPTIONAL:
            raise
        from .extras import pip_install

        raise _NotAnImageError(_OPTIONAL[known].format(install=pip_install("heic"))) from None
    return reader


def load_readers() -> None:
    """Import every decoder that is installed, for a process that cannot import any later."""
    for kind in FORMATS:
        with suppress(_NotAnImageError):
            _reader(kind)
    _silence_tiff()


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
