"""Stronger augmentation than RandomAffine's, for the repeated images of small classes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

STRENGTH = 0.25  # Of 1. Keras's default of 0.5 turns pictures by up to 180 degrees.
_TOGETHER = 8


def strong_augmentation(seed: int) -> Any:
    """Return Keras's RandAugment (Cubuk et al., NeurIPS 2020).

    It takes float images [n, height, width, channels] with values 0..255, and gives the same. Two
    operations out of eleven (geometry, colour, contrast, sharpness) are drawn for a call, not for an
    image, and all eleven are computed: some 40 ms an image at 96 pixels, 200 at 224. So it is for views
    that are made once, of small classes only: see strong_views. The same seed draws the same
    sequence. Like all of Keras's own, it augments unless it is called with training=False.
    """
    return keras.layers.RandAugment(
        value_range=(0, 255), num_ops=2, factor=STRENGTH, seed=seed, name="strong_augmentation"
    )


def strong_views(pixels: NDArray[np.uint8], *numbers: int) -> NDArray[np.uint8]:
    """Return a random variant of each image, uint8 [n, h, w, 3]; the same `numbers` give the same.

    The operations change every few images.
    """
    augment = strong_augmentation(int(np.random.default_rng(numbers).integers(2**31)))
    result = np.empty_like(pixels)
    for start in range(0, len(pixels), _TOGETHER):
        chunk = pixels[start : start + _TOGETHER].astype(np.float32)
        result[start : start + _TOGETHER] = np.rint(np.asarray(augment(chunk, training=True))).clip(0, 255)
    return result
