"""The small CNN that is trained from scratch: a residual network of at most a million parameters."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

# Keras's default of 0.99 averages over hundreds of steps: more than a small data set's whole training has.
SCRATCH_MOMENTUM = 0.9
_STEM = 32
_WIDTHS = (64, 128, 128)
_FINAL_SIDE = 4
_LARGE = 56  # From this side on the first convolution halves the picture, which keeps the cost in hand.


def build_cnn(size: int, classes: int, dropout: float) -> Any:
    """Return a Keras model: float RGB 0..255 [n, size, size, 3] to probabilities [n, classes].

    A convolution is followed by blocks; each halves the map with a convolution and max pooling, and adds
    two convolutions around which the identity leads (He et al., CVPR 2016). Blocks are put in front until
    the last map is about 4 pixels wide, at most five in all.
    """
    inputs = keras.Input((size, size, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)
    strides = 2 if size >= _LARGE else 1
    side = size // strides
    x = _convolve(x, _STEM, strides=strides)
    for width in block_widths(side):
        x = _convolve(x, width, pool=True)
        x = layers.Add()([x, _convolve(_convolve(x, width), width)])
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(dropout)(x)
    outputs = layers.Dense(classes, activation="softmax", name="probabilities")(x)
    return keras.Model(inputs, outputs, name="cnn")


def block_widths(side: int) -> tuple[int, ...]:
    """Return the channels of each block for a map that is `side` pixels wide after the first convolution."""
    widths = list(_WIDTHS)
    while len(widths) < 5 and side >> len(widths) > 2 * _FINAL_SIDE - 1:
        widths.insert(0, _STEM)
    return tuple(widths)


def _convolve(x: Any, width: int, strides: int = 1, pool: bool = False) -> Any:
    x = layers.Conv2D(width, 3, strides, padding="same", use_bias=False)(x)
    if pool:
        x = layers.MaxPooling2D()(x)
    x = layers.BatchNormalization(momentum=SCRATCH_MOMENTUM)(x)
    return layers.ReLU()(x)
