"""A file or a camera's frame becomes the model's input: the one implementation of it.

Training, calibration, scoring and running all come through here, so that a picture gives the same
tensor everywhere: decoded by Pillow, turned upright by its EXIF orientation, converted to 8-bit RGB,
resized with Pillow's antialiased filter.
"""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# The plugins of FORMATS that Pillow doesn't load by itself; for a missing one it would load all it has.
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin  # noqa: F401

from .card import InputSpec, Preprocess
from .errors import ImageError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
# Named, since Pillow would try all that it knows, and hand PostScript to Ghostscript.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_FILTERS = {"bilinear": Image.Resampling.BILINEAR}
_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")
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
    RuntimeError,
)


def is_image_name(path: Path) -> bool:
    """Return whether the name ends like a picture's; hidden files don't count."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def load_image(source: Path | bytes) -> Image.Image:
    """Decode a file (a path or its bytes) to an upright 8-bit RGB picture.

    Of an animation the first frame is taken. Transparent parts are laid on white; 16-bit samples
    keep their upper 8 bits. Raises ImageError, naming the file and the cause.
    """
    name = str(source) if isinstance(source, Path) else "image"
    try:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
            image.load()
            return to_rgb(ImageOps.exif_transpose(image))
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise ImageError(f"{name} is a folder, not an image") from None
    except UnidentifiedImageError:
        raise ImageError(f"{name} is no {', '.join(FORMATS)} image: {_describe(source)}") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} is too large to decode safely: {error}") from None
    except _DECODER_ERRORS as error:
        if isinstance(error, OSError) and error.strerror:  # The system's; a decoder's has none.
            raise ImageError(f"{name} cannot be read ({error.strerror})") from None
        raise ImageError(f"{name} is damaged or cut off ({error or type(error).__name__})") from None


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a picture of any mode to RGB, 8 bits a channel; raises ImageError for 32-bit samples."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in _SIXTEEN_BIT_MODES:
        samples = np.asarray(image)
        if samples.min() < 0 or samples.max() > 0xFFFF:
            raise ImageError("it holds 32-bit samples, whose range is not known; save it with 8 or 16 bits")
        return Image.fromarray((samples >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ImageError("it holds 32-bit float samples, whose range is not known; save it with 8 or 16 bits")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        return opaque.convert("RGB")
    return image.convert("RGB")


def to_input(image: Image.Image, spec: InputSpec, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Resize an RGB picture to uint8 [height, width, 3], values 0..255, by the card's rule."""
    size = (spec.width, spec.height)
    resample = _FILTERS[preprocess.filter]
    if preprocess.resize == "crop":
        resized = ImageOps.fit(image, size, resample)
    else:
        resized = image if image.size == size else image.resize(size, resample)
    return np.array(resized, dtype=np.uint8)


def from_bgr(frame: NDArray[np.uint8]) -> Image.Image:
    """Wrap a frame as OpenCV delivers it, uint8 [height, width, 3] in BGR order."""
    return Image.fromarray(np.ascontiguousarray(frame[:, :, ::-1]))


def _describe(source: Path | bytes) -> str:
    try:
        data = source[:16] if isinstance(source, bytes) else _head(source)
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return f"it starts with {data!r}" if data else "it is empty (0 bytes)"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)
