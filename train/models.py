"""The architectures. All take float RGB values 0..255 and scale them inside the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from .hyperparameters import is_scratch
from .options import DEFAULT_DROPOUT, DEFAULT_HEAD_UNITS, TrainOptions
from .weights import build_base

# Keras's default of 0.99 averages over hundreds of steps: more than the whole training on a small data set.
SCRATCH_MOMENTUM = 0.9
_STEM = 32
_WIDTHS = (64, 128, 128)
_FINAL_SIDE = 4
_LARGE = 56  # Pixels. From this side on, the first convolution halves the picture, to limit the cost.


@dataclass(frozen=True)
class Architecture:
    """Everything that decides the shape of a model and its initial weights.

    `name` is "cnn" or a backbone, `size` the side of the square input in pixels, and `weights` the value of
    --weights. `alpha` and `head_units` (0: no extra layer) shape a backbone only.
    """

    name: str
    size: int
    classes: int
    weights: str
    alpha: float
    head_units: int
    dropout: float

    @classmethod
    def of(cls, name: str, classes: int, options: TrainOptions) -> Architecture:
        """Return the architecture that `options` describe for the model `name`."""
        return cls(
            name=name,
            size=options.image_size[name],
            classes=classes,
            weights=options.weights,
            alpha=options.alpha,
            head_units=DEFAULT_HEAD_UNITS if options.head_units is None else options.head_units,
            dropout=DEFAULT_DROPOUT if options.dropout is None else options.dropout,
        )

    @property
    def from_scratch(self) -> bool:
        """Whether the initial weights are random."""
        return is_scratch(self.name, self.weights)


@dataclass(frozen=True)
class Built:
    """A model, the backbone in it (None for the CNN), and whether the backbone has trained weights."""

    model: Any
    base: Any | None
    pretrained: bool


def build(architecture: Architecture) -> Built:
    """Build a model with a softmax output. Raises WeightsError and OptionError as build_base does."""
    if architecture.name == "cnn":
        cnn = build_cnn(architecture.size, architecture.classes, architecture.dropout)
        return Built(cnn, None, pretrained=False)
    return _build_transfer(architecture)


def build_to_train(architecture: Architecture, compute: str, seed: int) -> Built:
    """Build the model that computes in `compute`, "float32" or "bfloat16".

    The seed decides the initial weights, which are always float32.
    """
    keras.utils.set_random_seed(seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if compute == "bfloat16" else "float32")
    try:
        return build(architecture)
    finally:
        keras.config.set_dtype_policy(policy)


def in_float32(built: Built, architecture: Architecture, compute: str) -> Any:
    """Return the model, trained in `compute`, as a model that computes in float32, as every device does."""
    if compute == "float32":
        return built.model
    model = build(architecture).model
    model.set_weights(built.model.get_weights())
    return model


def build_cnn(size: int, classes: int, dropout: float) -> Any:
    """Return a Keras model: float RGB 0..255 [n, size, size, 3] to probabilities [n, classes].

    It is a residual network (He et al., CVPR 2016) of at most a million parameters: a convolution, then
    blocks. Each block halves the map with a convolution and max pooling, and adds two convolutions with a
    shortcut around them. There are as many blocks, at most five, as bring the last map to about 4 pixels.
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


def _build_transfer(architecture: Architecture) -> Built:
    """Return a backbone with pooled features and a new head."""
    size, dropout = architecture.size, architecture.dropout
    base = build_base(architecture.name, architecture.weights, size, architecture.alpha)
    inputs = keras.Input((size, size, 3), name="image")
    x = base.network(base.scaling(inputs))
    if architecture.head_units:
        x = layers.Dropout(dropout)(x)
        x = layers.Dense(architecture.head_units, activation="relu")(x)
    x = layers.Dropout(dropout)(x)
    outputs = layers.Dense(architecture.classes, activation="softmax", name="probabilities")(x)
    model = keras.Model(inputs, outputs, name=architecture.name)
    return Built(model, base.network, pretrained=architecture.weights != "none")
