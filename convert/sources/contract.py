"""Wraps somebody's network so that it keeps the contract: raw RGB pixels in, probabilities out.

Imported only after TensorFlow was loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from ...edge.errors import ConversionError
from ...edge.modelfile import Normalization
from ...edge.output_meaning import OutputMeaning, meaning_of_network_values, sum_to_one
from ...edge.quiet import silenced
from ..tflite.graph_ends import LOGITS, OTHER_MEANS
from .converter import one_line

Call = Callable[[Any], Any]
_PROBES = 8
_TINY = 1e-7  # The smallest probability that is told from 0; 1 minus it is a float32 other than 1.
_SAME_VALUES = ("Identity", "Reshape", "Squeeze", "StopGradient")
# Weights of red, green and blue in brightness: ITU-R BT.601, as Pillow's convert("L") has them.
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Network:
    """What was loaded: `call` maps its own kind of input [n, height, width, channels] to its outputs.

    `outputs` is what they mean, None where the network does not state it.
    """

    name: str
    call: Call
    height: int
    width: int
    channels: int
    dtype: str
    outputs: OutputMeaning | None


@dataclass(frozen=True)
class Wrapped:
    """`call` maps float32 RGB pixels 0..255 [n, height, width, 3] to probabilities [n, classes].

    `notes` say what was added for that.
    """

    call: Call
    classes: int
    notes: tuple[str, ...]


def wrap(network: Network, normalization: Normalization) -> Wrapped:
    """Bake scaling into a network, and softmax where it gives logits.

    What the outputs are is read from the last layer, and where that doesn't say, from what the network
    gives for a few noisy pictures. Raises ConversionError when it is no classifier of single labels.
    """
    prepare, notes = _preparation(network, normalization)

    def raw(image: Any) -> Any:
        outputs = network.call(prepare(image))
        return tf.reshape(outputs, (tf.shape(outputs)[0], int(np.prod(outputs.shape[1:]))))

    probes = _probe(network, raw)
    outputs = network.outputs or meaning_of_network_values(probes)
    if probes.shape[1] == 1:
        return _wrap_binary(network, raw, outputs, notes)
    if outputs is OutputMeaning.SIGMOIDS:
        raise ConversionError(
            f"{network.name} gives {probes.shape[1]} outputs between 0 and 1 that don't sum to 1, such as "
            "the sigmoids of a model that finds several labels at once. edge-classify needs one that "
            "chooses one, with softmax"
        )
    if outputs is OutputMeaning.LOGITS:
        return Wrapped(lambda image: tf.nn.softmax(raw(image)), probes.shape[1], (*notes, LOGITS))
    if not sum_to_one(probes):
        raise ConversionError(
            f"{network.name} ends in softmax, and its {probes.shape[1]} outputs don't sum to 1: it is no "
            "classifier of whole images"
        )
    if network.outputs is OutputMeaning.PROBABILITIES or _last_operation(network, raw) == "Softmax":
        return Wrapped(raw, probes.shape[1], tuple(notes))
    return Wrapped(lambda image: tf.nn.softmax(_log(raw(image))), probes.shape[1], (*notes, OTHER_MEANS))


def _preparation(network: Network, normalization: Normalization) -> tuple[Call, list[str]]:
    mean, std = (np.asarray(values, np.float32) for values in (normalization.mean, normalization.std))
    dtype = tf.as_dtype(network.dtype)
    if not dtype.is_floating and (mean.any() or (std != 1).any()):
        raise ConversionError(
            f"{network.name} takes {network.dtype} input, which is pixels as they are: --normalization 0..255"
        )
    if network.channels not in (1, 3):
        raise ConversionError(
            f"{network.name} takes {network.channels} channels, and pictures have 3, or 1 if grey"
        )
    notes = []
    if network.channels == 1:
        notes.append("it takes grey pictures: the conversion from RGB was added")

    def prepare(image: Any) -> Any:
        if network.channels == 1:
            image = tf.reduce_sum(image * tf.constant(_LUMA), axis=-1, keepdims=True)
        if mean.any():
            image = image - mean
        if (std != 1).any():
            image = image / std
        return tf.cast(image, dtype)

    return prepare, notes


def _wrap_binary(network: Network, raw: Call, outputs: OutputMeaning, notes: list[str]) -> Wrapped:
    """Make two classes of one output, which is the second's probability."""
    if outputs is OutputMeaning.PROBABILITIES:
        raise ConversionError(
            f"{network.name} has one output with softmax, which is always 1: it can tell nothing"
        )
    notes.append("its only output is taken for the second label: two outputs with softmax were made of it")

    def both(image: Any) -> Any:
        output = raw(image)
        logit = output if outputs is OutputMeaning.LOGITS else _log(output) - _log(1 - output)
        # softmax([0, x]) is [1 - sigmoid(x), sigmoid(x)]; as a layer, it takes a temperature.
        return tf.nn.softmax(tf.matmul(logit, tf.constant([[0.0, 1.0]])))

    return Wrapped(both, 2, tuple(notes))


def _log(probabilities: Any) -> Any:
    return tf.math.log(tf.maximum(probabilities, _TINY))


def _last_operation(network: Network, call: Call) -> str:
    """Return the TensorFlow operation that computes what a call gives, such as "Softmax"."""
    shape = (1, network.height, network.width, 3)
    with silenced():
        graph = tf.function(call).get_concrete_function(tf.TensorSpec(shape, tf.float32)).graph
    output = graph.outputs[0]
    while True:
        operation = output.op
        if operation.type in ("PartitionedCall", "StatefulPartitionedCall"):
            inner = graph._get_function(operation.get_attr("f").name).graph
            output, graph = inner.outputs[output.value_index], inner
        elif operation.type in _SAME_VALUES:
            output = operation.inputs[0]
        else:
            return str(operation.type)


def _probe(network: Network, raw: Call) -> Any:
    rng = np.random.default_rng(0)
    shape = (_PROBES, network.height, network.width, 3)
    noise = rng.integers(0, 256, shape) * rng.random((_PROBES, 1, 1, 3)) + rng.random((_PROBES, 1, 1, 1))
    try:
        with silenced():
            rows = [np.asarray(raw(tf.constant(image[None], tf.float32)), np.float64) for image in noise]
    except Exception as error:  # Layers raise what they like.
        raise ConversionError(f"{network.name} cannot be run on a picture: {one_line(error)}") from error
    outputs = np.concatenate(rows)
    if not np.isfinite(outputs).all():
        raise ConversionError(
            f"{network.name} gives values that are no numbers (NaN or infinite): its training went wrong, or "
            "the file is damaged"
        )
    return outputs
