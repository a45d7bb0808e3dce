"""EfficientNet-Lite 0 to 2 in Keras layers: EfficientNets for 8 bits, with their published weights.

They differ from EfficientNet-B0 to B2 (Tan and Le, ICML 2019, table 1) in this: no squeeze-and-excite, ReLU6
in place of swish, and a stem, a head, and a first and a last stage that do not grow with width and depth.
The numbers are those of the authors' repository,
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

_STEM, _HEAD = 32, 1280  # Channels.
_EPSILON = 1e-3


@dataclass(frozen=True)
class _Stage:
    """Blocks of one kind, before width and depth; the first has the stride, the others have 1."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


@dataclass(frozen=True)
class LiteScale:
    """By what the channels and the blocks of the smallest network are multiplied."""

    width: float
    depth: float


LITE_SCALES: Mapping[str, LiteScale] = MappingProxyType(
    {
        "EfficientNetLite0": LiteScale(1.0, 1.0),
        "EfficientNetLite1": LiteScale(1.0, 1.1),
        "EfficientNetLite2": LiteScale(1.1, 1.2),
    }
)


@dataclass(frozen=True)
class _Block:
    """An inverted residual block (Sandler et al., CVPR 2018)."""

    name: str
    kernel: int
    stride: int
    expansion: int
    channels: int


def build_efficientnet_lite(name: str, size: int, classes: int = 0) -> Any:
    """Return the Keras model `name`, one of LITE_SCALES, with random weights.

    It maps float32 [n, size, size, 3], already scaled, to pooled features [n, 1280]; with `classes`, to
    probabilities [n, classes], as it was published for ImageNet. Training drops no paths.
    """
    inputs = keras.Input((size, size, 3))
    x = _normalize(layers.Conv2D(_STEM, 3, 2, "same", use_bias=False, name="stem_conv")(inputs), "stem")
    for block in _blocks(LITE_SCALES[name]):
        x = _inverted_residual(x, block)
    x = _normalize(layers.Conv2D(_HEAD, 1, use_bias=False, name="head_conv")(x), "head")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if classes:
        x = layers.Dense(classes, activation="softmax", name="predictions")(x)
    return keras.Model(inputs, x, name=name.lower())


def _blocks(scale: LiteScale) -> Iterator[_Block]:
    number = 0
    for stage in _STAGES:
        fixed = stage in (_STAGES[0], _STAGES[-1])
        for place in range(stage.blocks if fixed else math.ceil(stage.blocks * scale.depth)):
            channels = scale_channels(stage.channels, scale.width)
            stride = stage.stride if place == 0 else 1
            yield _Block(f"block{number}", stage.kernel, stride, stage.expansion, channels)
            number += 1


def scale_channels(channels: int, width: float) -> int:
    """Return the channels at a width: the nearest multiple of 8 that takes away at most a tenth."""
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def _inverted_residual(inputs: Any, block: _Block) -> Any:
    x, name, given = inputs, block.name, inputs.shape[-1]
    if block.expansion != 1:
        wide = layers.Conv2D(given * block.expansion, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = _normalize(wide, f"{name}_expand")
    x = layers.DepthwiseConv2D(
        block.kernel, block.stride, "same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = _normalize(x, f"{name}_depthwise")
    x = layers.Conv2D(block.channels, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_project_bn")(x)
    return layers.Add(name=f"{name}_add")([x, inputs]) if block.stride == 1 and given == block.channels else x


def _normalize(x: Any, name: str) -> Any:
    return layers.ReLU(6.0, name=f"{name}_relu6")(
        layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_bn")(x)
    )


# How the port to PyTorch calls the layers, in its blocks and outside of them.
_PUBLISHED = {
    "stem_conv": "_conv_stem",
    "stem_bn": "_bn0",
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "depthwise_conv": "_depthwise_conv",
    "depthwise_bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
    "head_conv": "_conv_head",
    "head_bn": "_bn1",
    "predictions": "_fc",
}
_NORM_PARTS = ("weight", "bias", "running_mean", "running_var")


def set_published_weights(network: Any, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    """Give a network of build_efficientnet_lite the weights of its port to PyTorch, `tensors` by their names.

    Raises ValueError where a tensor is missing, or has another shape.
    """
    for layer in network.layers:
        if layer.weights:
            layer.set_weights([_in_order_of_keras(tensors, name) for name in published_names(layer)])


def published_names(layer: Any) -> list[str]:
    """Return the names of a layer's tensors in the port to PyTorch, in the order of its weights in Keras."""
    block, _, name = layer.name.partition("_") if layer.name.startswith("block") else ("", "", layer.name)
    prefix = f"_blocks.{block.removeprefix('block')}." if block else ""
    parts = _NORM_PARTS if isinstance(layer, layers.BatchNormalization) else ("weight", "bias")
    return [f"{prefix}{_PUBLISHED[name]}.{part}" for part in parts[: len(layer.weights)]]


def _in_order_of_keras(tensors: Mapping[str, NDArray[np.float32]], name: str) -> NDArray[np.float32]:
    """Return a tensor with its axes as Keras has them."""
    if name not in tensors:
        raise ValueError(f"it lacks the tensor {name}")
    values = tensors[name]
    if "depthwise_conv" in name:  # [channels, 1, height, width] becomes [height, width, channels, 1].
        return values.transpose(2, 3, 0, 1)
    if values.ndim == 4:  # [outputs, inputs, height, width] becomes [height, width, inputs, outputs].
        return values.transpose(2, 3, 1, 0)
    return values.transpose()
