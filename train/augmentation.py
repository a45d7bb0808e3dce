"""Random rotation, shift, shear, zoom and flip, as one resampling of each training image."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

MAX_ROTATION = math.radians(15)
MAX_SHIFT = 0.1  # Of the side.
MAX_SHEAR = 0.1
MAX_ZOOM = 0.1


class RandomAffine(keras.layers.Layer):  # type: ignore[misc]
    """Maps float images [n, height, width, channels] to the same shape; does nothing outside training.

    Keras's own layers for the five would resample five times, which blurs small pictures until they
    no longer look like those that the model is tested on, and takes as many times as long. Here the
    five are composed to one matrix: zoom * rotation * shear * flip about the centre, then the shift.
    """

    def __init__(self, names: tuple[str, ...], seed: int) -> None:
        """Take the names of what to do, out of options.AUGMENTATIONS; the same seed draws the same."""
        super().__init__(name="augmentation")
        self._names = names
        self._seeds = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        """Transform each image by a matrix of its own."""
        if not training or not self._names:
            return images
        height, width = images.shape[1:3]
        rows = self._transforms(ops.shape(images)[0], height, width)
        return ops.image.affine_transform(images, rows, "bilinear", fill_mode="nearest")

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
        a2 = x - a0 * x - a1 * y + self._draw("shift", count, MAX_SHIFT) * width
        b2 = y - b0 * x - b1 * y + self._draw("shift", count, MAX_SHIFT) * height
        zero = ops.zeros_like(a0)
        return ops.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)

    def _draw(self, name: str, count: Any, limit: float) -> Any:
        if name not in self._names:
            return ops.zeros((count,))
        return keras.random.uniform((count,), -limit, limit, seed=self._seeds)
