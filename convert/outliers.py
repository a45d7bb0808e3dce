"""Made-up outliers: what a broken, covered or blinded camera gives, and pictures without any object.

    pixels = OUTLIERS["blurred"](photo, np.random.default_rng(0))

Every kind takes a photo, uint8 [height, width, 3], and gives one of the same shape. Kinds that show nothing
of the photo take only its size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.uint8]
Outlier = Callable[[Pixels, np.random.Generator], Pixels]

_PATCHES = 4  # A side; the photo's colours and textures stay, its objects do not.
_BLUR = 0.15  # The radius, as a share of the side: only a gradient of colours is left.
_SENSOR_NOISE = 3.0  # Standard deviation of the levels 0..255 of a sensor without light, or with too much.
_OVEREXPOSED = 6.0


def shuffle(photo: Pixels, rng: np.random.Generator) -> Pixels:
    """Exchange the photo's parts, four a side; what is left over at its edges stays."""
    height, width = (side // _PATCHES for side in photo.shape[:2])
    result = photo.copy()
    places = [(row * height, column * width) for row in range(_PATCHES) for column in range(_PATCHES)]
    for (top, left), source in zip(places, rng.permutation(len(places)), strict=True):
        down, right = places[source]
        result[top : top + height, left : left + width] = photo[down : down + height, right : right + width]
    return result


def blur(photo: Pixels, _: np.random.Generator) -> Pixels:
    """Blur the photo until no object can be made out."""
    image = Image.fromarray(photo).filter(ImageFilter.GaussianBlur(_BLUR * max(photo.shape[:2])))
    return np.asarray(image, np.uint8)


def noise(photo: Pixels, rng: np.random.Generator) -> Pixels:
    """Give each channel of each pixel any level."""
    return rng.integers(0, 256, photo.shape, np.uint8)


def black(photo: Pixels, rng: np.random.Generator) -> Pixels:
    """Give what a sensor gives at night: black, and a little noise."""
    return _levels(rng.normal(0.0, _SENSOR_NOISE, photo.shape))


def white(photo: Pixels, rng: np.random.Generator) -> Pixels:
    """Give what a blinded sensor gives: white, and a little noise."""
    return _levels(rng.normal(255.0, _SENSOR_NOISE, photo.shape))


def saturate(photo: Pixels, _: np.random.Generator) -> Pixels:
    """Expose the photo six times too long: most of its levels are 255, and shadows keep some colour."""
    return _levels(photo.astype(np.float64) * _OVEREXPOSED)


def cover(photo: Pixels, rng: np.random.Generator) -> Pixels:
    """Give what a finger on the lens gives: dark red or brown, brighter towards one side, without detail."""
    height, width = photo.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    light = 1 + rng.uniform(0.1, 0.6) * (np.sin(angle) * rows + np.cos(angle) * columns)
    color = rng.uniform(40, 110) * np.array([1.0, rng.uniform(0.2, 0.6), rng.uniform(0.1, 0.5)])
    return _levels(light[:, :, None] * color + rng.normal(0.0, _SENSOR_NOISE, photo.shape))


def _levels(values: NDArray[np.float64]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


OUTLIERS: Mapping[str, Outlier] = {
    "shuffled": shuffle,
    "blurred": blur,
    "noise": noise,
    "black": black,
    "white": white,
    "saturated": saturate,
    "covered": cover,
}

NOTHING = ("blurred", "noise", "black", "white", "covered")
"""The kinds that show nothing. Parts of a shuffled or saturated photo may show what a class looks like."""
