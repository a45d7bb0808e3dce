"""The two architectures. Both take float RGB values 0..255 and scale them inside the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from .options import TrainOptions
from .weights import build_base

# MobileNetV2 keeps its batch-norm statistics with momentum 0.999, which never catches up when a small
# set is trained from scratch: evaluation stays at chance while training looks fine.
SCRATCH_MOMENTUM = 0.9
_CNN_MAX_BLOCKS = 5
_CNN_FINAL_SIDE = 4


@dataclass(frozen=True)
class Built:
    """A model, and the part of it that was trained elsewhere (None for models built from scratch)."""

    model: Any
    base: Any | None


def build(name: str, classes: int, options: TrainOptions) -> Built:
    """Build "cnn" or "mobilenet_v2" with a softmax output of width `classes`."""
    size = options.image_size[name]
    if name == "cnn":
        return Built(build_cnn(size, classes, options.dropout), None)
    return build_mobilenet_v2(size, classes, options)


def build_cnn(size: int, classes: int, dropout: float) -> Any:
    """Return a VGG-like network: blocks of two convolutions with batch norm, pooling and dropout.

    Blocks are added, each with twice the channels, until the feature map is 4 pixels wide or there are
    five; inputs above 64 pixels are halved by the first convolution, which keeps the cost in hand.
    """
    inputs = keras.Input((size, size, 3), name="image")
    x = layers.Rescaling(1 / 255, name="rescaling")(inputs)
    side, filters, blocks = size, 32, 0
    while blocks < _CNN_MAX_BLOCKS and (side > _CNN_FINAL_SIDE or blocks == 0):
        for number in range(2):
            strides = 2 if size > 64 and blocks == 0 and number == 0 else 1
            side //= strides
            x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)
            x = layers.BatchNormalization(momentum=SCRATCH_MOMENTUM)(x)
            x = layers.ReLU()(x)
        x = layers.MaxPooling2D()(x)
        x = layers.Dropout(dropout / 2)(x)
        side, filters, blocks = side // 2, min(filters * 2, 256), blocks + 1
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(128, activation="relu")(x)
    x = layers.Dropout(dropout)(x)
    outputs = layers.Dense(classes, activation="softmax", name="probabilities")(x)
    return keras.Model(inputs, outputs, name="cnn")


def build_mobilenet_v2(size: int, classes: int, options: TrainOptions) -> Built:
    """Return MobileNetV2 (Sandler et al., CVPR 2018) with pooled features and a new head."""
    base = build_base(options.weights, size, options.alpha)
    inputs = keras.Input((size, size, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)
    x = base(x)
    if options.head_units:
        x = layers.Dropout(options.dropout)(x)
        x = layers.Dense(options.head_units, activation="relu")(x)
    x = layers.Dropout(options.dropout)(x)
    outputs = layers.Dense(classes, activation="softmax", name="probabilities")(x)
    return Built(keras.Model(inputs, outputs, name="mobilenet_v2"), base)


def prepare_phase(built: Built, phase: int, options: TrainOptions) -> None:
    """Set what is trained in phase 1 or 2.

    From scratch, everything is trained in both. A base with weights is frozen in phase 1; in phase 2
    its last `fine_tune_layers` are trained, with batch norm left in inference mode. A base that
    starts from random weights is trained whole in phase 1, since there is nothing to preserve.
    """
    if built.base is None:
        return
    norms = [x for x in built.base.layers if isinstance(x, keras.layers.BatchNormalization)]
    if phase == 1:
        built.base.trainable = options.weights == "none"
        if options.weights == "none":
            for layer in norms:
                layer.momentum = SCRATCH_MOMENTUM
        return
    built.base.trainable = True
    first = max(0, len(built.base.layers) - options.fine_tune_layers)
    for number, layer in enumerate(built.base.layers):
        layer.trainable = number >= first
    for layer in norms:
        layer.trainable = False  # In Keras, a frozen batch norm runs in inference mode.
