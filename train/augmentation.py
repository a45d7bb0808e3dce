"""Random changes of training images: affine maps, erasing, strong augmentation, MixUp and CutMix.

What cameras and resize filters do is in degradation.py.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from .degradation import RandomDegradation
from .options import DEGRADATIONS, GEOMETRY

MAX_ROTATION = math.radians(15)
MAX_SHIFT = 0.1  # Of the side.
MAX_SHEAR = 0.1
MAX_ZOOM = 0.1
ERASED = (0.02, 0.1)  # Share of the picture; Zhong et al., AAAI 2020, go up to 0.4, on 8 times the epochs.
ERASE_RATE = 0.5  # Share of the pictures; the same paper.
STRENGTH = 0.25  # Of strong augmentation, 0..1; Keras's default is 0.5. Rotation has its own limit.
BITS_LEFT = (6, 8)  # Of the 8 of a colour; the upper end is excluded.
_TOGETHER = 8  # Images with the same strong operations.


def make_augmentation(names: tuple[str, ...], seed: int) -> Any:
    """Return a layer that applies `names`, out of options.AUGMENTATIONS, to training images.

    It takes images of 0..255, uint8 or float32, and returns float32.
    """
    layers: list[Any] = [RandomAffine(tuple(name for name in names if name in GEOMETRY), seed)]
    if degradations := tuple(name for name in names if name in DEGRADATIONS):
        layers.append(RandomDegradation(degradations, seed))
    if "erase" in names:
        layers.append(
            keras.layers.RandomErasing(
                factor=(ERASE_RATE, ERASE_RATE),
                scale=ERASED,
                fill_value=127.0,
                value_range=(0, 255),
                seed=seed,
            )
        )
    return keras.Sequential(layers, name="augmentation") if len(layers) > 1 else layers[0]


class RandomAffine(keras.layers.Layer):  # type: ignore[misc]
    """Transforms float images [n, height, width, channels] while training, and keeps their shape.

    Keras has a layer for each of the five changes. Together they would resample five times, which takes five
    times as long, and blurs small pictures until they no longer look like the test images. Here the five are
    combined in one matrix: zoom * rotation * shear * flip about the centre, then the shift.
    """

    def __init__(self, names: tuple[str, ...], seed: int) -> None:
        """Take names out of options.GEOMETRY; the seed decides all random values."""
        super().__init__(name="affine")
        self._names = names
        self._seeds = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        """Transform each image by another matrix; other types than floats become float32."""
        images = ops.cast(images, "float32")
        if not training or not self._names:
            return images
        height, width = images.shape[1:3]
        rows = self._transforms(ops.shape(images)[0], height, width)
        return ops.image.affine_transform(images, rows, "bilinear", fill_mode="reflect")

    def _transforms(self, count: Any, height: int, width: int) -> Any:
        """Return float32 [count, 8]: maps from output points to input points, for affine_transform."""
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


def strong_augmentation(seed: int, rotation: bool) -> Any:
    """Return Keras's RandAugment (Cubuk et al., NeurIPS 2020).

    It takes and returns float images [n, height, width, channels] with values 0..255. Each call draws two
    operations out of eleven (geometry, colour, contrast, sharpness) for all its images, and computes all
    eleven: about 40 ms an image at 96 pixels, 200 at 224. So it is only for views that are made once, of
    small classes: see strong_views. The same seed draws the same sequence. Like all layers of Keras, it
    augments unless it is called with training=False.

    Keras would turn pictures by up to 90 degrees at this strength, which makes another class of an arrow.
    Here they turn by at most MAX_ROTATION, as in usual augmentation; not at all without `rotation`. Two
    operations of Keras get stronger the lower its factor is: it would leave one or two bits of a colour, and
    invert all but the darkest pixels. Here 6 or 7 bits are left, and the brightest quarter is inverted, as
    the paper's operations do at this strength.
    """
    layer = keras.layers.RandAugment(
        value_range=(0, 255), num_ops=2, factor=STRENGTH, seed=seed, name="strong_augmentation"
    )
    most = MAX_ROTATION / math.tau if rotation else 0.0
    layer.random_rotation = keras.layers.RandomRotation((-most, most), interpolation="bilinear", seed=seed)
    layer.random_posterization = keras.layers.RandomPosterization(BITS_LEFT, value_range=(0, 255), seed=seed)
    layer.solarization = _InvertedHighlights(STRENGTH, seed)
    return layer


class _InvertedHighlights(keras.layers.Solarization):  # type: ignore[misc]
    """Inverts what is brighter than a threshold, which lies at most `strength` of the range below white.

    Keras's own thresholds begin at black, whatever its factors.
    """

    def __init__(self, strength: float, seed: int) -> None:
        super().__init__(addition_factor=strength, value_range=(0, 255), seed=seed)
        self._lowest = 255 * (1 - strength)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        drawn = super().get_random_transformation(data, training, seed)
        if drawn is not None:
            shape = self.backend.shape(drawn["additions"])
            seeds = self._get_seed_generator(self.backend._backend) if seed is None else seed
            drawn["thresholds"] = self.backend.random.uniform(shape, self._lowest, 255, seed=seeds)
        return drawn


def strong_views(pixels: NDArray[np.uint8], rotation: bool, *numbers: int) -> NDArray[np.uint8]:
    """Return a random variant of each image, uint8 [n, h, w, 3], which only depends on `numbers`.

    The operations change every few images; without `rotation` none of them turns images.
    """
    augment = strong_augmentation(int(np.random.default_rng(numbers).integers(2**31)), rotation)
    result = np.empty_like(pixels)
    for start in range(0, len(pixels), _TOGETHER):
        chunk = pixels[start : start + _TOGETHER].astype(np.float32)
        result[start : start + _TOGETHER] = np.rint(np.asarray(augment(chunk, training=True))).clip(0, 255)
    return result


class Mixer:
    """Keras's MixUp (Zhang et al., ICLR 2018) or CutMix (Yun et al., ICCV 2019), a function of the seed."""

    def __init__(self, kind: str, seed: int) -> None:
        """Take one of options.MIXES except "none"."""
        layer = keras.layers.MixUp if kind == "mixup" else keras.layers.CutMix
        self._layer, self._seed = layer(seed=seed), seed

    def __call__(
        self, values: NDArray[Any], labels: NDArray[np.float32], epoch: int, batch: int
    ) -> tuple[Any, Any]:
        """Blend each row of `values` [n, ...] with another; `labels` are one-hot, float32 [n, classes].

        The type stays the same: pixels are rounded. MixUp takes activations of any shape, CutMix only images.
        """
        reseed(self._layer, self._seed, epoch, batch)
        images = np.asarray(values, np.float32)
        if images.ndim != 4:
            images = images.reshape(len(images), 1, 1, -1)
        mixed = self._layer({"images": images, "labels": labels}, training=True)
        blended = np.asarray(mixed["images"]).reshape(values.shape)
        if values.dtype == np.uint8:
            blended = np.rint(blended).clip(0, 255).astype(np.uint8)
        return blended, np.asarray(mixed["labels"], np.float32)


def reseed(network: Any, *numbers: int) -> None:
    """Seed all random layers of `network`: what they draw next only depends on `numbers`."""
    states = [v for v in network.variables if v.name == "seed_generator_state"]
    draws = np.random.default_rng(numbers).integers(0, 2**31, (len(states), 2), np.uint32)
    for state, draw in zip(states, draws, strict=True):
        state.assign(draw)
