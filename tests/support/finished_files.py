"""Finished .tflite files as other tools make them: one small network with all kinds of input and output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from edge_classify.edge.foreign import ForeignFacts
from edge_classify.edge.modelfile import Normalization
from numpy.typing import NDArray

from .tflite_contents import custom_operation

SIDE = 8
LABELS = ("red", "green", "blue")
_MEAN, _STD = np.array([0.485, 0.456, 0.406], "f4"), np.array([0.229, 0.224, 0.225], "f4")
IMAGENET = Normalization(tuple((_MEAN * 255).tolist()), tuple((_STD * 255).tolist()))
UNIT, SYMMETRIC = Normalization((0.0,), (255.0,)), Normalization((127.5,), (127.5,))


class Kind(NamedTuple):
    """A model, what must be said of it, and the shape and dtype of its input.

    `quantized` is the dtype of input and output of an int8 model, "weights" for dynamic range, or "float16";
    an int8 model is calibrated with pictures in the scaling `calibrated`, or else that of the facts.
    """

    function: Callable[[Any], Any]
    facts: ForeignFacts
    shape: tuple[int, ...] = (1, SIDE, SIDE, 3)
    quantized: str | None = None
    dtype: str = "float32"
    calibrated: Normalization = UNIT


def _logits(x: Any) -> Any:
    rng = np.random.default_rng(1)
    kernel = rng.normal(0, 1, (3, 3, 3, 16)).astype("f4")
    dense = rng.normal(0, 2, (16, 3)).astype("f4")
    return tf.matmul(tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(x - 0.4, kernel, 2, "SAME")), [1, 2]), dense)


def _wide(x: Any) -> Any:
    """Return probabilities by so many weights that the quantizer does not leave them in float."""
    weights = np.random.default_rng(2).normal(0, 0.2, (SIDE * SIDE * 3, 16)).astype("f4")
    return tf.nn.softmax(tf.matmul(tf.reshape(x, [1, -1]), weights)[:, :3])


def _softmax(x: Any) -> Any:
    return tf.nn.softmax(_logits(x))


def _in_order(x: Any) -> Any:
    return tf.reverse(x, [3])


def _facts(normalization: Normalization | None = UNIT, labels: tuple[str, ...] = LABELS,
           **more: Any) -> ForeignFacts:  # fmt: skip
    return ForeignFacts(labels, normalization, **more)


KINDS = {
    "float32": Kind(_softmax, _facts()),
    "float16": Kind(_softmax, _facts(), quantized="float16"),
    "dynamic": Kind(_wide, _facts(), quantized="weights"),
    "uint8": Kind(_softmax, _facts(None), quantized="uint8"),
    "int8": Kind(_softmax, _facts(), quantized="int8"),
    "symmetric_uint8": Kind(lambda x: _softmax(x / 2 + 0.5), _facts(None), quantized="uint8",
                            calibrated=SYMMETRIC),
    "imagenet_int8": Kind(lambda x: _softmax(x * _STD + _MEAN), _facts(IMAGENET), quantized="int8"),
    "uint8_without_scale": Kind(
        lambda x: _softmax(tf.cast(x, tf.float32) / 255), _facts(None), dtype="uint8"
    ),
    "logits": Kind(_logits, _facts()),
    "clipped": Kind(lambda x: tf.clip_by_value(_softmax(x), 1e-7, 1 - 1e-7), _facts()),
    "bgr": Kind(lambda x: _softmax(_in_order(x * _STD[::-1] + _MEAN[::-1])), _facts(IMAGENET, color="BGR")),
    "channels_first": Kind(lambda x: _softmax(tf.transpose(x, [0, 2, 3, 1])), _facts(), (1, 3, SIDE, SIDE)),
    "grey": Kind(lambda x: _softmax(tf.tile(x, [1, 1, 1, 3])), _facts(), (1, SIDE, SIDE, 1)),
    "rank3": Kind(lambda x: _softmax(tf.stack([x] * 3, -1)), _facts(), (1, SIDE, SIDE)),
    "one_sigmoid": Kind(lambda x: tf.sigmoid(_logits(x)[:, :1]), _facts(labels=LABELS[:2])),
    "one_logit": Kind(lambda x: _logits(x)[:, :1], _facts(labels=LABELS[:2])),
    "sigmoids": Kind(lambda x: tf.sigmoid(_logits(x)), _facts(outputs="sigmoids")),
    "two_outputs": Kind(
        lambda x: (tf.reduce_mean(x, [1, 2, 3])[:, None], _logits(x)), _facts(output_index=1)
    ),
    "condition": Kind(
        lambda x: tf.nn.softmax(tf.cond(tf.reduce_max(x) > 0, lambda: _logits(x), lambda: -_logits(x))),
        _facts(),
    ),
}  # fmt: skip


def write_finished_files(folder: Path) -> dict[str, Path]:
    """Write a file of each kind, and return where they are; "compiled" is uint8 as one custom operation."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, kind in KINDS.items():
        (folder / f"{name}.tflite").write_bytes(_convert(kind))
    (folder / "compiled.tflite").write_bytes(custom_operation((folder / "uint8.tflite").read_bytes()))
    return {path.stem: path for path in folder.glob("*.tflite")}


def _convert(kind: Kind) -> bytes:
    given = tf.TensorSpec(kind.shape, tf.dtypes.as_dtype(kind.dtype))
    function = tf.function(kind.function, input_signature=[given]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if kind.quantized is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind.quantized == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind.quantized in ("uint8", "int8"):
        converter.representative_dataset = lambda: _examples(kind)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = getattr(tf, kind.quantized)
    made: bytes = converter.convert()
    return made


def _examples(kind: Kind) -> Iterator[list[NDArray[np.float32]]]:
    """Yield pictures, from black to white, in the scaling that the model takes."""
    scaling = kind.facts.normalization or kind.calibrated
    rng = np.random.default_rng(0)
    for pixels in [np.zeros(kind.shape), np.full(kind.shape, 255), *rng.integers(0, 256, (20, *kind.shape))]:
        yield [((pixels - np.array(scaling.mean)) / np.array(scaling.std)).astype(np.float32)]
