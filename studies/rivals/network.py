"""What the rivals' networks share: starting weights, the answers of a frozen part, conversion by tf.lite."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from edge_classify.edge.quiet import silenced
from edge_classify.train.frozen import Divided, run_front
from edge_classify.train.weights import build_base
from keras import layers
from numpy.typing import NDArray

# MobileNetV2 with alpha 1.0, where edge-train starts; with the alpha that the rival takes; untrained.
WEIGHTS = ("same", "own", "random")
_RANDOM_ALPHA = 0.35


def mobilenet_v2(weights: str, own_alpha: float, size: int) -> Any:
    """Return MobileNetV2 without its head: float32 [n, size, size, 3] of -1..1 to pooled features.

    `weights` is one of WEIGHTS. Raises WeightsError where they cannot be had.
    """
    alpha = {"same": 1.0, "own": own_alpha, "random": _RANDOM_ALPHA}[weights]
    return build_base("mobilenet_v2", "none" if weights == "random" else "imagenet", size, alpha).network


def frozen(network: Any, scale: float, offset: float) -> Any:
    """Return a network that does not learn, behind a scaling of its pixels to -1..1."""
    network.trainable = False
    inputs = keras.Input(network.input_shape[1:])
    return keras.Model(inputs, network(layers.Rescaling(scale, offset)(inputs), training=False))


def features(body: Any, views: Iterable[NDArray[np.float32]], count: int) -> NDArray[np.float32]:
    """Return what a frozen body answers to `count` views, each float32 [size, size, 3].

    The same as in the rival's own loop, which runs the body in every epoch; only sooner.
    """
    found = np.empty((count, *body.output_shape[1:]), np.float32)
    run_front(Divided(body, None), (view[None] for view in views), found, lambda _: None)
    return found


def joined(body: Any, head: Any) -> Any:
    """Return one model of a body and the head that was trained on its features."""
    inputs = keras.Input(body.input_shape[1:])
    return keras.Model(inputs, head(body(inputs)))


def convert(model: Any, pictures: Iterable[NDArray[np.float32]] | None) -> bytes:
    """Return a .tflite of the model for one picture: int8, calibrated with `pictures`, or float32 without.

    As the rivals do it: the converter's default optimization, uint8 input and output.
    """
    inputs = keras.Input(batch_shape=(1, *model.input_shape[1:]))
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(inputs, model(inputs)))
    if pictures is not None:

        def representative() -> Iterator[list[NDArray[np.float32]]]:
            for picture in pictures:
                yield [picture[None]]

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    with silenced():
        return bytes(converter.convert())


def one_hot(truth: Sequence[int], classes: int) -> NDArray[np.float32]:
    """Return the classes as float32 [images, classes]."""
    found = np.zeros((len(truth), classes), np.float32)
    found[np.arange(len(truth)), truth] = 1
    return found
