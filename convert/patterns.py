"""Drawn pictures that make a network's layers work as photos do: gradients, blotches, stripes and shapes.

They are made of random numbers alone. No photo, and nothing that was measured of one, goes into them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_MOST_DRAWN = 256  # Pixels a side; larger inputs get the picture enlarged.
_LEVEL = 15  # Only every 15th grey level is used, so that the PNG is smaller than one of a photo.
_SMALLEST_TEXTURE = 64  # Squares a side of the finest texture.


def draw_pattern(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """Return the picture of a seed, uint8 [height, width, 3]; the same seed and size give the same one."""
    rng = np.random.default_rng(seed)
    sides = min(height, _MOST_DRAWN), min(width, _MOST_DRAWN)
    picture = _gradient(rng, *sides)
    picture += _blotches(rng, *sides) * rng.uniform(0, 0.8)
    if rng.random() < 0.5:
        picture += _stripes(rng, *sides) * rng.uniform(10, 90)
    for _ in range(rng.integers(0, 5)):
        _draw_shape(picture, rng)
    picture += _texture(rng, *sides) * rng.uniform(0, 60)
    pixels = (np.clip(picture / _LEVEL, 0, 255 // _LEVEL).round() * _LEVEL).astype(np.uint8)
    if sides == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST))


def _gradient(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    """Return a blend from one colour to another in any direction."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    way = np.cos(angle) * x + np.sin(angle) * y
    share = (way - way.min()) / (np.ptp(way) or 1)
    first, last = rng.uniform(0, 255, (2, 3))
    blend: NDArray[np.float64] = first + (last - first) * share[..., None]
    return blend


def _blotches(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    """Return smooth noise of a random scale around 0, between -128 and 127."""
    cells = int(2 ** rng.uniform(1, 5))
    small = rng.integers(0, 256, (cells, cells, 3), np.uint8)
    smooth = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float64) - 128


def _stripes(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    """Return grey waves of -1 to 1, 2 to 12 of them across the picture."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    angle = rng.uniform(0, np.pi)
    waves = rng.uniform(2, 12) * (np.cos(angle) * x + np.sin(angle) * y)
    return np.asarray(np.sin(2 * np.pi * waves + rng.uniform(0, 2 * np.pi)))[..., None]


def _draw_shape(picture: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Draw a filled rectangle or ellipse over the picture."""
    height, width, _ = picture.shape
    rows, columns = (
        max(1, int(share * side))
        for share, side in zip(rng.uniform(0.15, 0.6, 2), (height, width), strict=True)
    )
    top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
    y, x = np.ogrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    inside = np.broadcast_to(True, (rows, columns)) if rng.random() < 0.5 else x**2 + y**2 <= 1
    picture[top : top + rows, left : left + columns][inside] = rng.uniform(0, 255, 3)


def _texture(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    """Return noise of small squares with hard edges, -1 to 1."""
    rows, columns = min(height, _SMALLEST_TEXTURE), min(width, _SMALLEST_TEXTURE)
    noise = rng.uniform(-1, 1, (rows, columns, 3))
    return noise[np.arange(height) * rows // height][:, np.arange(width) * columns // width]
