"""Which images are answered right, as text in a record: one bit for each image."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray


def pack(right: NDArray[np.bool_]) -> str:
    """Return bool [images] as base64 of one bit for each image, the first image in the highest bit."""
    return base64.b64encode(np.packbits(right).tobytes()).decode()


def unpack(text: str, images: int) -> NDArray[np.bool_]:
    """Return what `pack` was given; raises ValueError for a text that does not hold that many images."""
    raw = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    if len(raw) != -(-images // 8):
        raise ValueError(f"it holds {len(raw)} bytes, and {images} images take {-(-images // 8)}")
    return np.unpackbits(raw, count=images).astype(np.bool_)
