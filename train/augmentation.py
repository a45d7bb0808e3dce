"""Random rotation, shift, shear, zoom and flip, as one resampling of each training image; and erasing."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

MAX_ROTATION = math.radians(15)
MAX_SHIFT = 0.1  # Of the side.
MAX_SHEAR = 0.1
MAX_ZOOM = 0.1
ERASED = (0.02, 0.1)  # Share of the picture; Zhong et al., AAAI 2020, go up to 0.4, on 8 times the epochs.
ERASE_RATE = 0.5  # Share of the pictures; the same paper.


def make_augmentation(names: tuple[str, ...], seed: int) -> Any:
    """Return a layer that does to training images what `names`, out of options.AUGMENTATIONS, say.

    It takes images of 0..255, uint8 or float32, and gives float32.
    """
    affine = RandomAffine(tuple(name for name in names if name != "erase"), seed)
    if "erase" not in names:
        return affine
    erasing = keras.layers.RandomErasing(
        factor=(ERASE_RATE, ERASE_RATE), scale=ERASED, fill_value=127.0, value_range=(0, 255), seed=seed
    )
    return keras.Sequential([affine, erasing], name="augmentation")


class RandomAffine(keras.layers.Layer):  # type: ignore[misc]
    """Maps float images [n, height, width, channels] to the same shape; does nothing outside training.

    Keras's own layers for the five would resample five times, which blurs small pictures until they
    no longer look like those that the model is tested on, and takes as many times as long. Here the
    five are composed to one matrix: zoom * rotation * shear * flip about the centre, then the shift.
    """

    def __init__(self, names: tuple[str, ...], seed: int) -> None:
        """Take names out of options.DEFAULT_AUGMENTATIONS; the same seed draws the same."""
        super().__init__(name="affine")
        self._names = names
        self._seeds = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        """Transform each image by a matrix of its own; other types than floats become float32."""
        images = ops.cast(images, "float32")
        if not training or not self._names:
            return images
        height, width = images.shape[1:3]
        rows = self._transforms(ops.shape(images)[0], height, width)
        return ops.image.affine_transform(images, rows, "bilinear", fill_mode="reflect")

    def _transforms(self, count: Any, height: int, width: int) -> Any:
        """Return float32 [count, 8]: for each output point the input point, as affine_transform takes it."""
        angle = self._draw("rotation", count, MAX_ROTATION)
        shear = self._draw("shear", count, MAX_SHEAR)
        zoom = 1 + self._draw("zoom", count, MAX_ZOOM)
        flip = ops.where(self._draw("flip", count, 1.0) < 0, -1.0, 1.0)
        cos, sin = zoom * ops.cos(angle), zoom * ops.sin(angle)
        a0, a1 = cos * flip, cos * shear - sin
        b0, b1 = sin * flip, sin * shear + cos
        x, y = (width - 1) / 2, (height - 1) / 2
        a2 = x - a0 * x - a1 * y + ops.round(self._draw("shift", count, MAX_SHIFT) * width)
        b2 = y - b0 * x - b1 * y + ops.round(self._draw("shift", count, MAX_SHIFT) * height)
        zero = ops.zeros_like(a0)
        return ops.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)

    def _draw(self, name: str, count: Any, limit: float) -> Any:
        if name not in self._names:
            return ops.zeros((count,))
        return keras.random.uniform((count,), -limit, limit, seed=self._seeds)
