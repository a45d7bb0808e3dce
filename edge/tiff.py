"""TIFF files whose pixels Pillow reads as stored, whatever their tags say: corrected, or refused by name.

Tags and their values are those of TIFF 6.0; Pillow chooses its mode by some of them only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .errors import ImageError

_SUBFILE, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES = 254, 258, 259, 262, 277
_PLANAR, _SUB_IFDS, _YCBCR_SUBSAMPLING, _SAMPLE_FORMAT, _DNG_VERSION = 284, 330, 530, 339, 50706
_WHITE_IS_ZERO, _YCBCR, _CFA, _LINEAR_RAW = 0, 6, 32803, 34892
_JPEG_COMPRESSIONS = (6, 7)
# Pillow's names for 16-bit samples that are passed on unchanged, apart from the order of their bytes.
_AS_STORED = ("I;16", "I;16L", "I;16B", "I;16N")
# Registered compressions that Pillow, or the libtiff that it was built with, does not decode.
_COMPRESSIONS = {
    9: "JBIG", 10: "JBIG", 34661: "JBIG", 34676: "LogLuv", 34677: "LogLuv", 34712: "JPEG 2000", 34887: "LERC",
    34892: "lossy JPEG", 34925: "LZMA", 34933: "PNG", 34934: "JPEG XR", 50000: "Zstandard", 50001: "WebP",
    50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
_REMEDY = "Save it as PNG, or as TIFF with 8 or 16 bits a sample"
_REMEDY_COMPRESSION = "Save it as PNG, or as TIFF with LZW or without compression"
_BIG_ENDIAN_BIG_TIFF = b"MM\0+"  # Pillow takes it for a classic TIFF.


def open_page(reader: Callable[[BinaryIO], Image.Image], file: BinaryIO, head: bytes) -> Image.Image:
    """Return the first page, not decoded, of a TIFF file that begins with `head`.

    Raises ImageError for what Pillow's `reader` does not know, and its own exceptions for a damaged file.
    """
    try:
        return reader(file)
    except SyntaxError as error:
        if head.startswith(_BIG_ENDIAN_BIG_TIFF):
            raise ImageError(f"it is a big-endian BigTIFF, which is not supported. {_REMEDY}") from None
        cause = error.__cause__
        if not (isinstance(cause, KeyError) and isinstance(cause.args[0], int)):
            raise
        number = cause.args[0]  # Of a compression that Pillow does not know.
        name = f" ({_COMPRESSIONS[number]})" if number in _COMPRESSIONS else ""
        raise ImageError(
            f"it is a TIFF of compression {number}{name}, which is not supported. {_REMEDY_COMPRESSION}"
        ) from None


def load_page(image: Image.Image) -> None:
    """Decode an open page; raises ImageError where its compression may lack in this Pillow."""
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    compression = int(tags.get(_COMPRESSION, 1))
    try:
        image.load()
    except OSError as error:
        if compression not in _COMPRESSIONS or error.strerror:
            raise
        raise ImageError(
            f"it is a TIFF of compression {compression} ({_COMPRESSIONS[compression]}), which this Pillow "
            f"does not decode, or it is damaged. {_REMEDY_COMPRESSION}"
        ) from None


def require_readable(image: Image.Image) -> None:
    """Raise ImageError for the kinds of an open TIFF page, not decoded, whose pixels would be wrong."""
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    bits, samples = _bits(image), int(tags.get(_SAMPLES, 1))
    photometric = tags.get(_PHOTOMETRIC)
    if _DNG_VERSION in tags or photometric in (_CFA, _LINEAR_RAW):
        raise ImageError("it is a raw photo (DNG), which is not read. Export it as JPEG, PNG or TIFF")
    if tags.get(_SUBFILE, 0) & 1 and _SUB_IFDS in tags:
        raise ImageError("its first page is only a preview, as in raw photos. Export it as JPEG, PNG or TIFF")
    if samples > 1 and tags.get(_PLANAR, 1) == 2 and set(bits) != {8}:
        raise ImageError(f"it is a planar TIFF of {bits[0]} bits a sample, which is not supported. {_REMEDY}")
    if max(bits) <= 16 and any(kind == 2 for kind in _sequence(tags.get(_SAMPLE_FORMAT, 1))):
        raise ImageError(f"its samples are signed numbers, whose range is not known. {_REMEDY}")
    subsampled = tuple(tags.get(_YCBCR_SUBSAMPLING, (2, 2))) != (1, 1)
    if photometric == _YCBCR and subsampled and tags.get(_COMPRESSION, 1) not in _JPEG_COMPRESSIONS:
        raise ImageError(f"it is a TIFF in YCbCr with reduced colours, which is not supported. {_REMEDY}")
    if len(set(bits)) > 1:
        raise ImageError(
            f"its samples have unequal numbers of bits {bits}, which is not supported. {_REMEDY}"
        )
    if image.mode.startswith("I;16") and bits[0] not in (12, 16):
        raise ImageError(f"it is a grey TIFF of {bits[0]} bits a sample, which is not supported. {_REMEDY}")
    if image.mode == "I":
        raise ImageError(f"it holds {bits[0]}-bit samples, whose range is not known. {_REMEDY}")
    inverted = image.mode.startswith("I;16") and photometric == _WHITE_IS_ZERO
    if inverted and _rawmode(image) not in _AS_STORED:
        raise ImageError(f"its white is zero in {bits[0]} bits, which is not supported. {_REMEDY}")


def full_range(image: Image.Image) -> Image.Image:
    """Return a decoded page whose grey samples of 12 or 16 bits are 0 for black and 65535 for white.

    Other pages are returned as they are.
    """
    if not image.mode.startswith("I;16"):
        return image
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    bits, inverted = _bits(image)[0], tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    if bits == 16 and not inverted:
        return image
    samples: NDArray[np.uint16] = np.asarray(image).astype(np.uint16)
    if inverted:
        samples ^= np.uint16((1 << bits) - 1)
    if bits == 12:  # The upper bits once more, so that white is white in 16 bits too.
        samples = np.bitwise_or(samples << 4, samples >> 8, dtype=np.uint16)
    scaled = Image.fromarray(samples)
    scaled.info = dict(image.info)
    scaled.getexif().update(image.getexif())
    return scaled


def _rawmode(image: Image.Image) -> str:
    args: Any = image.tile[0][3] if image.tile else ()  # type: ignore[attr-defined]
    return str(args[0] if isinstance(args, tuple) and args else args)


def _bits(image: Image.Image) -> tuple[int, ...]:
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    return tuple(int(bits) for bits in _sequence(tags.get(_BITS, (1,))))


def _sequence(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)
