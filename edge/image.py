"""From a picture's file or a camera's frame to the model's input.

Training, calibration, scoring and running all use this module, so that a picture gives the same tensor
everywhere: decoded by Pillow, turned upright by its EXIF orientation, converted to 8-bit RGB, resized with
Pillow's antialiased filter.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from .card import InputSpec, Preprocess
from .decoding import stand_in
from .decoding_memory import PICTURES
from .errors import ImageError
from .image_file import open_image, require_decodable

Cover = tuple[int, int]
Box = tuple[float, float, float, float]

# A JPEG is decoded at reduced size only if it keeps this many pixels for each pixel of the input, both ways.
# With fewer, the filter has hardly anything to smooth, and the input is sharper than in training: at 1.0 to
# 1.3 a CNN gave the same answer to 91 % of photos. In small inputs each pixel shows a large part of a photo,
# and what a reduction changes is no longer noise: at 32 and 1.5 an int8 CNN changed its answer on 7 % of
# photos, and at 64 and 2.25 a float32 one on 0.6 % more than by noise. So the number of pixels grows again
# below _SMALL (studies/reduced_decode.py).
_MARGIN, _SMALL = 1.5, 96
_EXIF_ORIENTATION = 0x0112
_ORIENTATIONS = range(2, 9)  # All but 1, upright.
_FILTERS = {"bilinear": Image.Resampling.BILINEAR}
_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")


def load_image(source: Path | bytes, cover: Cover | None = None, name: str | None = None) -> Image.Image:
    """Decode a file, given by its path or its bytes, to an upright 8-bit RGB picture.

    An animation gives its first frame. Transparent parts become white; 16-bit samples keep their upper 8
    bits. With `cover`, (width, height) of the upright picture, a JPEG is decoded at its strongest reduction
    (1/2, 1/4, 1/8) that is at least as wide and as high. `name` is what errors call bytes. Raises ImageError,
    with the file and the cause; for more than MAX_PIXELS before they are decoded.
    """
    if (decoder := stand_in()) is not None:
        return decoder.load_image(source, cover)
    with open_image(source, name) as image:
        if cover is not None:
            _reduce(image, cover)
        return decode(image)


def input_cover(spec: InputSpec) -> Cover:
    """Return the smallest width and height at which a picture may be decoded for this input.

    That is 1.5 pixels for each pixel of the input; an input below 96 pixels keeps as many as one that is as
    much above 96: 240 at 32, 192 at 64, 144 at 96, 336 at 224.
    """
    return _decoded(spec.width), _decoded(spec.height)


def _decoded(side: int) -> int:
    """Return the fewest pixels to decode for a side of the input."""
    return math.ceil(_MARGIN * max(side, 2 * _SMALL - side))


def load_input(
    source: Path | bytes, spec: InputSpec, preprocess: Preprocess, name: str | None = None
) -> NDArray[np.uint8]:
    """Decode and resize a file by `load_for_input` and `to_input`; raises ImageError as load_image does."""
    if (decoder := stand_in()) is not None:
        return decoder.load_input(source, spec, preprocess)
    image, box = load_for_input(source, spec, name)
    return to_input(image, spec, preprocess, box)


def load_for_input(
    source: Path | bytes, spec: InputSpec, name: str | None = None
) -> tuple[Image.Image, Box | None]:
    """Decode a file no larger than this input needs, and return the image and the `box` for to_input.

    A JPEG is decoded at its strongest reduction that keeps the pixels of `input_cover`. Reduced to an eighth,
    1001 columns become 126, of which the last stands for one column and not for eight: `box` leaves the rest
    of it out, which would shift the picture. Raises ImageError as load_image does.
    """
    with open_image(source, name) as image:
        box = _reduce(image, input_cover(spec))
        return decode(image), box


def decode(image: Image.Image) -> Image.Image:
    """Decode the current frame of an open file, upright and in RGB; for use inside `open_image`.

    The result may be the file's own image, which changes with the file's next frame.
    """
    require_decodable(image.size)
    return PICTURES.decode(image, lambda: _decode(image))


def _decode(image: Image.Image) -> Image.Image:
    if image.format == "TIFF":
        return _decode_tiff(image)
    if image.format == "PNG" and "transparency" in image.info:
        from .png import load_with_key

        return _upright(load_with_key(image))
    image.load()
    if image.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        return _upright(
            image.convert("RGB")
        )  # Programs that know no alpha leave its byte 0, as browsers know.
    return _upright(image)


def _decode_tiff(image: Image.Image) -> Image.Image:
    from .tiff import full_range, load_page, require_readable

    require_readable(image)
    image.getexif()  # Pillow 9 cannot read it after the page is decoded.
    load_page(image)
    return _upright(full_range(image))


def _upright(image: Image.Image) -> Image.Image:
    """Return a decoded image turned by its EXIF orientation, and in RGB."""
    # exif_transpose copies also an upright picture: a tenth of the time of a small photo.
    turned = image.getexif().get(_EXIF_ORIENTATION) in _ORIENTATIONS
    return to_rgb(ImageOps.exif_transpose(image) if turned else image)


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
        return Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def to_input(
    image: Image.Image, spec: InputSpec, preprocess: Preprocess, box: Box | None = None
) -> NDArray[np.uint8]:
    """Resize an RGB picture to uint8 [height, width, 3], values 0..255, by the card's rule.

    `box` is the part to resize: left, upper, right, lower in pixels; None for the whole image.
    """
    size = (spec.width, spec.height)
    whole = (0.0, 0.0, float(image.width), float(image.height))
    part = box or whole
    if preprocess.resize == "crop":
        part = _centred(part, spec.width / spec.height)
    if image.size != size or part != whole:
        image = image.resize(size, _FILTERS[preprocess.filter], part)
    return np.array(image, dtype=np.uint8)


def from_bgr(frame: NDArray[np.uint8]) -> Image.Image:
    """Convert a frame from OpenCV, uint8 [height, width, 3] in BGR order, to an RGB image."""
    return Image.fromarray(np.ascontiguousarray(frame[:, :, ::-1]))


def _reduce(image: Image.Image, cover: Cover) -> Box | None:
    """Have a JPEG decoded at reduced size, but no smaller than `cover`, in pixels of the upright picture.

    Returns the `box` of the upright reduced image for to_input; None for the whole image.
    """
    if image.format != "JPEG":
        return None
    orientation = image.getexif().get(_EXIF_ORIENTATION)
    sideways = orientation in (5, 6, 7, 8)
    drafted = image.draft(None, (cover[1], cover[0]) if sideways else cover)
    if drafted is None:
        return None
    _, (_, _, right, lower) = drafted
    width, height = image.size
    # The picture's part of the width and of the height, from either edge; the orientation decides which edge.
    before, behind = (0.0, right), (width - right, float(width))
    above, below = (0.0, lower), (height - lower, float(height))
    across = behind if orientation in (2, 3, 7, 8) else before
    down = below if orientation in (3, 4, 6, 7) else above
    if sideways:
        across, down = down, across
    return across[0], down[0], across[1], down[1]


def _centred(box: Box, ratio: float) -> Box:
    """Return the largest part in the middle of `box` whose width is `ratio` times its height."""
    left, upper, right, lower = box
    width, height = right - left, lower - upper
    if width >= ratio * height:
        cut = (width - ratio * height) / 2
        return left + cut, upper, right - cut, lower
    cut = (height - width / ratio) / 2
    return left, upper + cut, right, lower - cut
