"""Other people's Keras files and SavedModels as networks, wrapped so that they keep the contract.

Raw RGB pixels go in, probabilities come out. Imported only after TensorFlow was loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ...edge.channels import BGR, RGB
from ...edge.console import say
from ...edge.errors import ConversionError
from ...edge.meanings import OutputMeaning
from ...edge.modelfile import Normalization
from ...edge.output_graph import state_meaning
from ...edge.output_meaning import settle_meaning, to_probabilities
from ...edge.quiet import silenced
from ...edge.tensors import choose_output
from ..tflite.graph_ends import (
    EXCHANGE_ADDED,
    GREY_ADDED,
    LAYOUT_ADDED,
    LOG_AND_SOFTMAX_ADDED,
    LUMA,
    SOFTMAX_ADDED,
    TWO_CLASSES_ADDED,
)
from .imagenet import is_imagenet, load_imagenet
from .keras_model import load_keras, silence_training_layers, without_last_sigmoid
from .prepared import require_same_answers
from .tensorflow_graph import last_operation
from .traced_model import error_summary, trace

Call = Callable[[Any], Any]
_PROBES = 8
_TINY = 1e-7  # The smallest probability that counts as more than 0; 1 minus it is a float32 other than 1.
_SIGNATURE = "serving_default"


@dataclass(frozen=True)
class Network:
    """A loaded network: `call` maps its kind of input, [n, height, width, channels], to its outputs.

    `logit` does so without the sigmoid of the only output, where a network ends in one; elsewhere it is None.
    """

    name: str
    call: Call
    height: int
    width: int
    channels: int
    dtype: str
    logit: Call | None = None


def read_keras(path: Path, image_size: int | None, output_index: int | None = None) -> Network:
    """Load a .keras or .h5 classifier, or one of Keras's own; raises ConversionError for any other model.

    `image_size` is for models that take pictures of any size, `output_index` for those of several outputs.
    """
    model = load_imagenet(path) if is_imagenet(path) else load_keras(path)
    name = str(path)
    _require_one_input(name, len(model.inputs))
    named = list(zip(_output_names(model), (tuple(output.shape) for output in model.outputs), strict=True))
    number = _choose_output(name, named, output_index)
    dropped = silence_training_layers(model)
    if dropped:
        say(f"{name}: left out the layers that act in training only: {', '.join(dropped)}")
    given = model.inputs[0]
    height, width, channels = _image_shape(name, tuple(given.shape), image_size)
    _require_vector(name, named[number][1])
    structure = model._inputs_struct if hasattr(model, "_inputs_struct") else given  # It may be a dict.

    @_fed_as(name, tuple(given.shape))
    def call(image: Any) -> Any:
        return tf.nest.flatten(model(tf.nest.pack_sequence_as(structure, [image]), training=False))[number]

    bare = without_last_sigmoid(model, number)
    logit = None if bare is None else (lambda image: bare(lambda: call(image)))
    return Network(name, call, height, width, channels, str(given.dtype), logit)


def _output_names(model: Any) -> list[str]:
    """Return what users call the outputs: the keys of their dict, or the layers that compute them."""
    structure = getattr(model, "_outputs_struct", None)
    if isinstance(structure, dict) and len(structure) == len(model.outputs):
        return sorted(structure)  # The order in which Keras flattens it.
    return [output._keras_history.operation.name for output in model.outputs]


def read_saved_model(
    path: Path, image_size: int | None, trust: bool, output_index: int | None = None
) -> Network:
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
    _require_one_input(str(path), len(inputs))
    outputs = sorted(signature.structured_outputs.items())
    named = [(name, _sides(output.shape)) for name, output in outputs]
    chosen, shape_of_output = named[_choose_output(str(path), named, output_index)]
    key, given = next(iter(inputs.items()))
    height, width, channels = _image_shape(str(path), _sides(given.shape), image_size)
    _require_vector(str(path), shape_of_output)

    @_fed_as(str(path), _sides(given.shape))
    def call(image: Any, keep: Any = loaded) -> Any:  # Its variables live as long as it does.
        return signature(**{key: image})[chosen]

    return Network(str(path), call, height, width, channels, given.dtype.name)


def _sides(shape: Any) -> tuple[int | None, ...]:
    return tuple(shape.as_list()) if shape.rank is not None else ()


def _fed_as(name: str, shape: tuple[int | None, ...]) -> Callable[[Call], Call]:
    """Let a call that takes grey [n, height, width], or channels first, be fed with [n, height, width, c]."""

    def fed(call: Call) -> Call:
        if len(shape) == 3:
            return lambda image: call(tf.squeeze(image, axis=-1))
        if _has_channels_first(shape):
            return lambda image: call(tf.transpose(image, [0, 3, 1, 2]))
        return call

    if _has_channels_first(shape):
        say(f"{name}: {LAYOUT_ADDED}")
    return fed


def _has_channels_first(shape: tuple[int | None, ...]) -> bool:
    return len(shape) == 4 and shape[3] not in (1, 3) and shape[1] in (1, 3)


def _require_one_input(name: str, inputs: int) -> None:
    if inputs != 1:
        raise ConversionError(
            f"{name} is not an image classifier: it has {inputs} inputs, and a classifier has one"
        )


def _choose_output(
    name: str, outputs: Sequence[tuple[str, tuple[int | None, ...]]], output_index: int | None
) -> int:
    try:
        return choose_output(name, outputs, output_index)
    except ValueError as error:
        raise ConversionError(str(error)) from None


def _image_shape(name: str, shape: tuple[int | None, ...], image_size: int | None) -> tuple[int, int, int]:
    if len(shape) not in (3, 4):
        raise ConversionError(
            f"{name} is not an image classifier: its input is {list(shape)}, and a classifier's is "
            "[batch, height, width, channels]"
        )
    if len(shape) == 3:
        shape = (*shape, 1)
    if _has_channels_first(shape):
        shape = (shape[0], *shape[2:], shape[1])
    batch, height, width, channels = shape
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

    The pixels are [n, height, width, 3], the probabilities [n, classes]. `reference` does the same for numpy
    arrays with the network as it was loaded, whose outputs are read as probabilities outside of TensorFlow.
    `function` is the traced call, where it was traced already. `notes` name what was added.
    """

    call: Call
    function: Any
    reference: Call
    classes: int
    notes: tuple[str, ...]


def wrap(
    network: Network, normalization: Normalization, color: str = RGB, said: str | None = None
) -> Wrapped:
    """Build scaling into a network, the order of its colours, and softmax where it does not end in one.

    `said` is the meaning of the outputs by --outputs; without it, the network's graph states it, and its
    values for a few noisy pictures must agree. Raises ConversionError for a network that cannot be run on a
    picture, and ModelFileError for one that does not choose one label for it, and where the meaning cannot be
    told.
    """
    prepare, notes = _preparation(network, normalization, color)

    def raw(image: Any) -> Any:
        return _as_vector(network.call(prepare(image)))

    pixels = _noise(network)
    probes = _probe(network, raw, pixels)
    function = trace(raw, network.height, network.width)
    stated = state_meaning(last_operation(function))
    meaning = settle_meaning(network.name, stated, probes, said)
    if probes.shape[1] == 1:
        call, added = _two_classes(_logit(network, prepare, raw, meaning)), TWO_CLASSES_ADDED
    elif meaning is OutputMeaning.LOGITS:
        call, added = (lambda image: tf.nn.softmax(raw(image))), SOFTMAX_ADDED
    elif meaning is OutputMeaning.PROBABILITIES and stated.exact:
        call, added = raw, ""
    else:
        call, added = (lambda image: tf.nn.softmax(_log(raw(image)))), LOG_AND_SOFTMAX_ADDED

    def reference(images: Any) -> Any:
        return to_probabilities(np.asarray(raw(tf.constant(images)), np.float32), meaning)

    wrapped = np.concatenate([np.asarray(call(tf.constant(image[None], tf.float32))) for image in pixels])
    require_same_answers(network.name, wrapped, to_probabilities(probes.astype(np.float32), meaning))
    return Wrapped(
        call,
        function if call is raw else None,
        reference,
        max(2, probes.shape[1]),
        (*notes, *([added] if added else [])),
    )


def _as_vector(outputs: Any) -> Any:
    return tf.reshape(outputs, (tf.shape(outputs)[0], int(np.prod(outputs.shape[1:]))))


def _preparation(network: Network, normalization: Normalization, color: str) -> tuple[Call, list[str]]:
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
    if color == BGR:
        if network.channels == 1:
            raise ConversionError(
                f"{network.name} takes grey pictures, which have no order of colours: leave out --color"
            )
        notes.append(EXCHANGE_ADDED)
    if network.channels == 1:
        notes.append(GREY_ADDED)

    def prepare(image: Any) -> Any:
        if network.channels == 1:
            image = tf.reduce_sum(image * tf.constant(LUMA), axis=-1, keepdims=True)
        if mean.any():
            image = image - mean
        if (std != 1).any():
            image = image / std
        if color == BGR:
            # Split and concatenation run in every runtime and delegate, in 8 bits too, and change no value.
            image = tf.concat(tf.split(image, 3, axis=-1)[::-1], axis=-1)
        return tf.cast(image, dtype)

    return prepare, notes


def _logit(network: Network, prepare: Call, raw: Call, meaning: OutputMeaning) -> Call:
    """Return the call that gives the logit of the second of two classes, [n, 1]."""
    logit = network.logit
    if meaning is OutputMeaning.LOGITS:
        return raw
    if logit is not None:
        return lambda image: _as_vector(logit(prepare(image)))
    return lambda image: _log(raw(image)) - _log(1 - raw(image))


def _two_classes(logit: Call) -> Call:
    """Return the call that gives the probabilities of two classes."""
    # softmax([0, x]) is [1 - sigmoid(x), sigmoid(x)]; as a layer, it takes a temperature.
    return lambda image: tf.nn.softmax(tf.matmul(logit(image), tf.constant([[0.0, 1.0]])))


def _log(probabilities: Any) -> Any:
    return tf.math.log(tf.maximum(probabilities, _TINY))


def _noise(network: Network) -> Any:
    """Return noisy pictures of several colours, float64 [pictures, height, width, 3]."""
    rng = np.random.default_rng(0)
    shape = (_PROBES, network.height, network.width, 3)
    return rng.integers(0, 256, shape) * rng.random((_PROBES, 1, 1, 3)) + rng.random((_PROBES, 1, 1, 1))


def _probe(network: Network, raw: Call, pixels: Any) -> Any:
    try:
        with silenced():
            rows = [np.asarray(raw(tf.constant(image[None], tf.float32)), np.float64) for image in pixels]
    except Exception as error:  # Layers may raise anything.
        raise ConversionError(f"{network.name} cannot be run on a picture: {error_summary(error)}") from error
    outputs = np.concatenate(rows)
    if not np.isfinite(outputs).all():
        raise ConversionError(
            f"{network.name} gives values that are no numbers (NaN or infinite): its training went wrong, or "
            "the file is damaged"
        )
    return outputs
