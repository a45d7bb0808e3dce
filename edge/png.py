"""PNG files with a transparent colour: Pillow compares it in the file's bits with samples of 8 bits.

Rules are those of the PNG specification (third edition, 11.3.1.1).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

# What Pillow multiplies samples of fewer than 8 bits by.
_GREY_FACTORS = {"L;2": 85, "L;4": 17}
_GREY_16, _RGB_16 = "I;16B", "RGB;16B"


def load_with_key(image: Image.Image) -> Image.Image:
    """Decode the frame of an open PNG, and return it with its transparent colour in decoded bits.

    Grey pictures of 16 bits come back with their transparent pixels white. The file's own image, which is
    returned where nothing changes, keeps what it states.
    """
    key, rawmode = image.info.get("transparency"), _rawmode(image)
    image.load()
    if isinstance(key, int) and (factor := _GREY_FACTORS.get(rawmode)):
        return _with(image.copy(), image, key * factor)
    if isinstance(key, tuple) and rawmode == _RGB_16:
        return _with(image.copy(), image, tuple(value >> 8 for value in key))
    if isinstance(key, int) and rawmode == _GREY_16:
        samples = np.asarray(image).astype(np.uint16)
        samples[samples == key] = 0xFFFF
        return _with(Image.fromarray(samples), image, None)
    return image


def _with(changed: Image.Image, image: Image.Image, key: Any) -> Image.Image:
    """Return `changed` with all that is known of `image`, but another transparent colour."""
    changed.info = {name: value for name, value in image.info.items() if name != "transparency"}
    if key is not None:
        changed.info["transparency"] = key
    changed.getexif().update(image.getexif())
    return changed


def _rawmode(image: Image.Image) -> str:
    args: Any = image.tile[0][3] if image.tile else ""  # type: ignore[attr-defined]
    return str(args[0] if isinstance(args, tuple) and args else args)
