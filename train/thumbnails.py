"""Small versions of pictures, by which copies are recognised: 32x32 grey values and 16x16 colours of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 32
COLOUR_SIDE = 16
BYTES = SIDE**2 + 2 * COLOUR_SIDE**2
# Pillow: with 3 the result is "indistinguishable from fair resampling in most cases".
_REDUCING_GAP = 3.0


@dataclass(frozen=True)
class Thumbnails:
    """The thumbnails of some pictures.

    Attributes:
        grey: uint8 [pictures, 32, 32], the luma of each picture, stretched to a square.
        colour: uint8 [pictures, 2, 16, 16], its chroma Cb and Cr; 128 is grey.
    """

    grey: NDArray[np.uint8]
    colour: NDArray[np.uint8]

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.grey)


def make_thumbnail(image: Image.Image) -> bytes:
    """Return the thumbnail of an RGB picture as 1,536 bytes: luma row by row, then Cb, then Cr."""
    small = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)
    luma, *chroma = small.convert("YCbCr").split()
    factor = SIDE // COLOUR_SIDE
    return b"".join([luma.tobytes(), *(channel.reduce(factor).tobytes() for channel in chroma)])


def read_thumbnails(thumbnails: Sequence[bytes]) -> Thumbnails:
    """Return what `make_thumbnail` made, as arrays."""
    rows = np.frombuffer(b"".join(thumbnails), np.uint8).reshape(len(thumbnails), BYTES)
    return Thumbnails(
        rows[:, : SIDE**2].reshape(-1, SIDE, SIDE),
        rows[:, SIDE**2 :].reshape(-1, 2, COLOUR_SIDE, COLOUR_SIDE),
    )


def gaussian_matrix(side: int, sigma: float) -> NDArray[np.float32]:
    """Return the matrix [side, side] that smooths a row of pixels; `sigma` is in pixels."""
    places = np.arange(side)
    weights = np.exp(-(((places[:, None] - places) / sigma) ** 2) / 2)
    weights[weights < 1e-6] = 0  # Numbers near 0 are slow to multiply with.
    smooth: NDArray[np.float32] = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return smooth
