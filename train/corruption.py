"""Mild damage to pictures, as by poor optics, dim light and small files, to measure how robust a model is.

The four kinds and their strengths follow D. Hendrycks and T. Dietterich, "Benchmarking Neural Network
Robustness to Common Corruptions and Perturbations", ICLR 2019, and the code published with it
(https://github.com/hendrycks/robustness): CIFAR-10-C at severity 2 for pictures of 32 pixels, ImageNet-C
at severity 1 for 224. Between these, the strength is interpolated over the logarithm of the side; outside,
it is constant.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

_SIDES = (32, 224)
# Sigma in pixels; standard deviation of 1; what is added to the value of HSV, of 1; JPEG quality.
_STRENGTH = {"blur": (0.6, 1.0), "noise": (0.06, 0.08), "brightness": (0.1, 0.1), "jpeg": (65.0, 25.0)}
CORRUPTIONS = tuple(_STRENGTH)


def strength(kind: str, side: int) -> float:
    """Return the parameter of `kind` for pictures of `side` pixels, in the unit of the published code."""
    return float(np.interp(np.log(side), np.log(_SIDES), _STRENGTH[kind]))


def corrupt(pixels: NDArray[np.uint8], kind: str, seed: int) -> NDArray[np.uint8]:
    """Return damaged copies of uint8 RGB pictures [n, side, side, 3]; `kind` is one of CORRUPTIONS.

    The seed draws the noise; the noise of a picture depends on its place in the batch.
    """
    amount = strength(kind, pixels.shape[1])
    if kind == "noise":
        return _add_noise(pixels, amount, seed)
    if kind == "brightness":
        return _brighten(pixels, amount)
    damage = _blur if kind == "blur" else _compress
    return np.stack([np.asarray(damage(Image.fromarray(picture), amount)) for picture in pixels])


def _add_noise(pixels: NDArray[np.uint8], deviation: float, seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).standard_normal(pixels.shape, np.float32) * (deviation * 255)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


def _brighten(pixels: NDArray[np.uint8], amount: float) -> NDArray[np.uint8]:
    """Increase the value of HSV at the same hue and saturation, which scales all three channels alike."""
    value = pixels.max(axis=-1, keepdims=True).astype(np.float32)
    wanted = np.minimum(value + amount * 255, 255)
    scaled = pixels * (wanted / np.maximum(value, 1))
    bright = np.where(value == 0, wanted, scaled)  # Black has no hue, and turns grey.
    return np.asarray(np.rint(bright), np.uint8)


def _blur(picture: Image.Image, sigma: float) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(sigma))


def _compress(picture: Image.Image, quality: float) -> Image.Image:
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=round(quality))
    return Image.open(buffer)
