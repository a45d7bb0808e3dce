"""Random changes of pixels, as photos get them on their way: by other resize filters, and by other cameras.

What a filter without antialiasing does to a photo of many pixels cannot be had from a smaller photo, and the
photos at hand are often small. But it can be imitated on pixels at the input's size. Of tiles of camera
photos, reduced 8 to 40 times to 224 pixels, OpenCV's INTER_LINEAR differs from the antialiased filter by 0.6
times the local detail (the picture is sharper), and by noise of 0.7 times its strength; MediaPipe's resize,
which also shifts the picture, by noise of 1.7 times its strength; at smaller ratios both are less
(studies/aliasing.py). So the detail is made larger, and noise in proportion to it added; how strong both are
changes from picture to picture.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

DEGRADED = 0.5  # Share of the pictures that each change but that of the exposure is made on.
MAX_SHARPENING = 1.0  # Times the detail: a pixel less the mean of the 3x3 pixels around it.
MAX_ALIASING = 1.5  # Standard deviation, in those of the detail around the pixel.
MAX_NOISE = 12.0  # Standard deviation, in grey levels.
MAX_EXPOSURE = 0.3  # Stops: factors of 2.
STRENGTHS = (DEGRADED, MAX_SHARPENING, MAX_ALIASING, MAX_NOISE, MAX_EXPOSURE)
_FLAT = 1e-3  # Added before the square root, whose slope is infinite at 0.


class RandomDegradation(keras.layers.Layer):  # type: ignore[misc]
    """Changes the values of float images [n, height, width, channels] of 0..255 while training.

    "resampling" sharpens and adds noise where there is detail, as filters without antialiasing do. "camera"
    blurs, adds noise everywhere, and changes the exposure. All pictures of a batch get the same field of
    noise, of another strength and sign: one for each would be six million random numbers a batch.
    """

    def __init__(self, names: tuple[str, ...], seed: int) -> None:
        """Take "resampling", "camera" or both; the seed decides all random values."""
        super().__init__(name="degradation")
        self._names = names
        self._seeds = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        """Change each image by other strengths; other types than floats become float32."""
        images = ops.cast(images, "float32")
        if not training or not self._names:
            return images
        detail = images - ops.average_pool(images, 3, 1, "same")
        if "camera" in self._names:
            images = self._photograph(images, detail)
        if "resampling" in self._names:
            images += self._alias(detail)
        return ops.clip(images, 0.0, 255.0)

    def _alias(self, detail: Any) -> Any:
        """Return what is added to the images."""
        chosen = self._choose(detail)
        squares = ops.mean(ops.square(detail), axis=-1, keepdims=True)
        around = ops.sqrt(ops.average_pool(squares, 3, 1, "same") + _FLAT)
        noise = self._noise(around) * (chosen * self._draw(detail, -MAX_ALIASING, MAX_ALIASING))
        return detail * (chosen * self._draw(detail, 0.0, MAX_SHARPENING)) + around * noise

    def _photograph(self, images: Any, detail: Any) -> Any:
        """Return the images at other exposures, some blurred, some with noise, half of it in all channels."""
        exposed = images * 2.0 ** self._draw(images, -MAX_EXPOSURE, MAX_EXPOSURE)
        blurred = exposed - detail * (self._choose(images) * self._draw(images, 0.0, 1.0))
        noise = (self._noise(images) + self._noise(images[..., :1])) / math.sqrt(2)
        return blurred + noise * (self._choose(images) * self._draw(images, -MAX_NOISE, MAX_NOISE))

    def _noise(self, like: Any) -> Any:
        """Return a field [1, height, width, channels] of mean 0 and variance 1, evenly distributed."""
        half = math.sqrt(3)
        return keras.random.uniform((1, *like.shape[1:]), -half, half, seed=self._seeds)

    def _choose(self, images: Any) -> Any:
        """Return 1 for some images and 0 for the others, [n, 1, 1, 1]."""
        return ops.cast(self._draw(images, 0.0, 1.0) < DEGRADED, "float32")

    def _draw(self, images: Any, low: float, high: float) -> Any:
        return keras.random.uniform((ops.shape(images)[0], 1, 1, 1), low, high, seed=self._seeds)
