"""The architectures. All take float RGB values 0..255 and scale them inside the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from .cnn import build_cnn
from .options import DEFAULT_DROPOUT, DEFAULT_HEAD_UNITS, TrainOptions
from .recipe import Recipe
from .weights import build_base


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


def build_to_train(name: str, classes: int, options: TrainOptions, recipe: Recipe) -> Built:
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
