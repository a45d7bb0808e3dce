"""MixUp and CutMix: pairs of images of a batch blended into one, with labels to match."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from .trainer import reseed


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

        The type stays: pixels are rounded. Activations of any shape can be blended too; CutMix is for images.
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
