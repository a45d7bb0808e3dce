"""Other people's Keras files and SavedModels as networks, wrapped so that they keep the contract.

Raw RGB pixels go in, probabilities come out. Imported only after TensorFlow was loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ...edge.console import say
from ...edge.errors import ConversionError
from ...edge.modelfile import Normalization
from ...edge.output_meaning import OutputMeaning, meaning_of_network_values, sum_to_one
from ...edge.quiet import silenced
from ..tflite.graph_ends import LOG_AND_SOFTMAX_ADDED, SOFTMAX_ADDED
from .keras_model import drop_last_activation, load_keras, silence_training_layers, stated_outputs
from .traced_model import error_summary

Call = Callable[[Any], Any]
_PROBES = 8
_TINY = 1e-7  # The smallest probability that counts as more than 0; 1 minus it is a float32 other than 1.
_SAME_VALUES = ("Identity", "Reshape", "Squeeze", "StopGradient")
# Weights of red, green and blue in brightness: ITU-R BT.601, as Pillow's convert("L") has them.
_LUMA = (0.299, 0.587, 0.114)
_SIGNATURE = "serving_default"


@dataclass(frozen=True)
class Network:
    """A loaded network: `call` maps its kind of input, [n, height, width, channels], to its outputs.

    `outputs` is the meaning of the outputs, None where the network does not state it.
    """

    name: str
    call: Call
    height: int
    width: int
    channels: int
    dtype: str
    outputs: OutputMeaning | None


def read_keras(path: Path, image_size: int | None) -> Network:
    """Load a .keras or .h5 classifier; raises ConversionError for any other model.

    `image_size` is for models that take pictures of any size.
    """
    model = load_keras(path)
    name = str(path)
    _require_one(name, len(model.inputs), len(model.outputs))
    dropped = silence_training_layers(model)
    if dropped:
        say(f"{name}: left out the layers that act in training only: {', '.join(dropped)}")
    height, width, channels = _image_shape(name, tuple(model.inputs[0].shape), image_size)
    _require_vector(name, tuple(model.outputs[0].shape))
    outputs = stated_outputs(model)
    if outputs is OutputMeaning.SIGMOIDS and model.outputs[0].shape[-1] == 1:
        drop_last_activation(model)
        outputs = OutputMeaning.LOGITS
    given = model.inputs[0]
    structure = model._inputs_struct if hasattr(model, "_inputs_struct") else given  # It may be a dict.

    def call(image: Any) -> Any:
        return _first(model(tf.nest.pack_sequence_as(structure, [image]), training=False))

    return Network(name, call, height, width, channels, str(given.dtype), outputs)


def read_saved_model(path: Path, image_size: int | None, trust: bool) -> Network:
    """Load a SavedModel's serving signature; raises ConversionError for any other model.

    A SavedModel is a program, which can read and write files when it is loaded or run: it needs `trust`.
    """
    if not trust:
        raise ConversionError(
            f"{path} is a SavedModel, which is a program and can read and write your files. If you trust "
            "whoever made it, give --trust"
        )
    try:
        with silenced():
            loaded = tf.saved_model.load(str(path))
    except Exception as error:  # TensorFlow may raise anything.
        raise ConversionError(
            f"{path} cannot be loaded as a SavedModel: it is damaged or incomplete "
            f"({' '.join(str(error).split())[:120]})"
        ) from error
    signature = loaded.signatures.get(_SIGNATURE)
    if signature is None:
        names = ", ".join(loaded.signatures) or "none"
        raise ConversionError(
            f"{path} has no signature {_SIGNATURE}, which says how to call it. It has: {names}. Export it "
            "with model.export(), or with tf.saved_model.save(..., signatures=FUNCTION)"
        )
    _, inputs = signature.structured_input_signature
    _require_one(str(path), len(inputs), len(signature.structured_outputs))
    (key, given), (output,) = next(iter(inputs.items())), signature.structured_outputs.values()
    shape = given.shape.as_list() if given.shape.rank is not None else []
    height, width, channels = _image_shape(str(path), tuple(shape), image_size)
    _require_vector(str(path), tuple(output.shape.as_list()) if output.shape.rank is not None else ())

    def call(image: Any) -> Any:
        return _first(signature(**{key: image}), keep=loaded)

    return Network(str(path), call, height, width, channels, given.dtype.name, None)


def _first(outputs: Any, keep: Any = None) -> Any:
    """Return the only output; the caller holds `keep` through it, so that its variables live on."""
    if isinstance(outputs, dict):
        return next(iter(outputs.values()))
    return outputs[0] if isinstance(outputs, (list, tuple)) else outputs


def _require_one(name: str, inputs: int, outputs: int) -> None:
    if (inputs, outputs) != (1, 1):
        raise ConversionError(
            f"{name} is not an image classifier: a classifier has one input and one output. "
            f"Received: {inputs} and {outputs}"
        )


def _image_shape(name: str, shape: tuple[int | None, ...], image_size: int | None) -> tuple[int, int, int]:
    if len(shape) != 4:
        raise ConversionError(
            f"{name} is not an image classifier: its input is {list(shape)}, and a classifier's is "
            "[batch, height, width, channels]"
        )
    batch, height, width, channels = shape
    if channels not in (1, 3) and height in (1, 3):
        raise ConversionError(
            f"{name} takes pictures with the channels first, {list(shape)}, which TFLite's kernels don't. "
            "Build it with the channels last"
        )
    if batch not in (None, 1):
        raise ConversionError(
            f"{name} takes {batch} pictures at once. Save it with a batch of 1, or of any size"
        )
    if height is None or width is None:
        if image_size is None:
            raise ConversionError(
                f"{name} takes pictures of any size: give the size of its training with --image-size N"
            )
        height, width = height or image_size, width or image_size
    elif image_size is not None and (height, width) != (image_size, image_size):
        raise ConversionError(f"{name} takes {height}x{width} pixels, and --image-size says {image_size}")
    return height, width, channels or 0


def _require_vector(name: str, shape: tuple[int | None, ...]) -> None:
    sides = [side for side in shape[1:] if side != 1]
    if len(shape) < 2 or len(sides) > 1 or None in sides:
        raise ConversionError(
            f"{name} is not an image classifier: its output is {list(shape)}, and a classifier's is "
            "[batch, classes]"
        )


@dataclass(frozen=True)
class Wrapped:
    """A network that keeps the contract: `call` maps float32 RGB pixels 0..255 to probabilities.

    The pixels are [n, height, width, 3], the probabilities [n, classes]. `notes` name what was added.
    """

    call: Call
    classes: int
    notes: tuple[str, ...]


def wrap(network: Network, normalization: Normalization) -> Wrapped:
    """Build scaling into a network, and softmax where it gives logits.

    The meaning of the outputs comes from the last layer, or else from the network's values for a few noisy
    pictures. Raises ConversionError for a network that does not choose one label for a picture.
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
        return Wrapped(lambda image: tf.nn.softmax(raw(image)), probes.shape[1], (*notes, SOFTMAX_ADDED))
    if not sum_to_one(probes):
        raise ConversionError(
            f"{network.name} ends in softmax, and its {probes.shape[1]} outputs don't sum to 1: it is no "
            "classifier of whole images"
        )
    if network.outputs is OutputMeaning.PROBABILITIES or _last_operation(network, raw) == "Softmax":
        return Wrapped(raw, probes.shape[1], tuple(notes))
    return Wrapped(
        lambda image: tf.nn.softmax(_log(raw(image))), probes.shape[1], (*notes, LOG_AND_SOFTMAX_ADDED)
    )


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
    """Make two classes of one output, which is the probability of the second class."""
    if outputs is OutputMeaning.PROBABILITIES:
        raise ConversionError(
            f"{network.name} has one output with softmax, which is always 1: it distinguishes nothing"
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
    """Return the TensorFlow operation that computes the outputs of a call, such as "Softmax"."""
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
    except Exception as error:  # Layers may raise anything.
        raise ConversionError(f"{network.name} cannot be run on a picture: {error_summary(error)}") from error
    outputs = np.concatenate(rows)
    if not np.isfinite(outputs).all():
        raise ConversionError(
            f"{network.name} gives values that are no numbers (NaN or infinite): its training went wrong, or "
            "the file is damaged"
        )
    return outputs
