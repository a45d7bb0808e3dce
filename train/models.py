"""The architectures. All take float RGB values 0..255 and scale them inside the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from .hyperparameters import Hyperparameters
from .options import DEFAULT_DROPOUT, DEFAULT_HEAD_UNITS, TrainOptions
from .weights import build_base

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


@dataclass(frozen=True)
class Built:
    """A model, the backbone in it (None for the CNN), and whether that starts from trained weights."""

    model: Any
    base: Any | None
    pretrained: bool


def build(name: str, classes: int, options: TrainOptions) -> Built:
    """Build "cnn" or a backbone with a softmax output of width `classes`."""
    size = options.image_size[name]
    if name == "cnn":
        return Built(build_cnn(size, classes, _dropout(options)), None, False)
    return build_transfer(name, size, classes, options)


def build_to_train(name: str, classes: int, options: TrainOptions, recipe: Hyperparameters) -> Built:
    """Build the model with the initial weights that the seed gives; they are float32 in any case.

    It computes in the type that the recipe names.
    """
    keras.utils.set_random_seed(options.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if recipe.compute == "bfloat16" else "float32")
    try:
        return build(name, classes, options)
    finally:
        keras.config.set_dtype_policy(policy)


def head_units(options: TrainOptions) -> int:
    """Return the width of the extra dense layer on a backbone; 0 for none."""
    return DEFAULT_HEAD_UNITS if options.head_units is None else options.head_units


def build_transfer(name: str, size: int, classes: int, options: TrainOptions) -> Built:
    """Return the backbone `name` with pooled features and a new head.

    Raises WeightsError and OptionError as build_base does.
    """
    base = build_base(name, options.weights, size, options.alpha)
    inputs = keras.Input((size, size, 3), name="image")
    x = base.network(base.scaling(inputs))
    if width := head_units(options):
        x = layers.Dropout(_dropout(options))(x)
        x = layers.Dense(width, activation="relu")(x)
    x = layers.Dropout(_dropout(options))(x)
    outputs = layers.Dense(classes, activation="softmax", name="probabilities")(x)
    return Built(keras.Model(inputs, outputs, name=name), base.network, options.weights != "none")


def _dropout(options: TrainOptions) -> float:
    return DEFAULT_DROPOUT if options.dropout is None else options.dropout
