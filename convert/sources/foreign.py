"""Other people's Keras files and SavedModels as networks. Imported only after TensorFlow was loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from ...edge.console import say
from ...edge.errors import ConversionError
from ...edge.output_meaning import OutputMeaning
from ...edge.quiet import silenced
from .contract import Network
from .keras_model import drop_last_activation, load_keras, silence_training_layers, stated_outputs

_SIGNATURE = "serving_default"


def read_keras(path: Path, image_size: int | None) -> Network:
    """Load a .keras or .h5 classifier; raises ConversionError when it is none.

    `image_size` is for models that take pictures of any size.
    """
    model = load_keras(path)
    name = str(path)
    _require_one(name, len(model.inputs), len(model.outputs))
    dropped = silence_training_layers(model)
    if dropped:
        say(f"{name}: left out what only acts in training: {', '.join(dropped)}")
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
    """Load a SavedModel's serving signature; raises ConversionError when it is no classifier.

    A SavedModel is a program, which can read and write files when it is loaded or run: that takes `trust`.
    """
    if not trust:
        raise ConversionError(
            f"{path} is a SavedModel, which is a program and can read and write your files. If you trust "
            "whoever made it, say so with --trust"
        )
    try:
        with silenced():
            loaded = tf.saved_model.load(str(path))
    except Exception as error:  # TensorFlow raises what its parts raise.
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
    """Return the only output; `keep` is held so that its variables live as long as the call."""
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
            f"{name} is not an image classifier: its input is {list(shape)}, and one of pictures is "
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
                f"{name} takes pictures of any size: say with --image-size N which it was trained with"
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
