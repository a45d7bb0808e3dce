"""A model that TensorFlow runs and converts. Imported only after TensorFlow was loaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ...edge.console import say
from ...edge.errors import ConversionError
from ...edge.quiet import silenced
from ..calibration import CalibrationSet
from ..recipes import FLOAT32, INT8_FLOAT_IO, MIXED, Recipe
from ..repair.answers import store_pixels
from ..tflite.compatibility import OlderRuntime, converter_settings
from ..tflite.correction import Correction
from ..tflite.flatgraph import repack
from ..tflite.quantizer import LayerQuantizer
from ..tflite.ranges import observe

_INT16X8 = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8

# Names of operations in tensorflow/core/ops/random_ops.cc and stateless_random_ops.cc.
_RANDOM = re.compile(
    r"(Stateless|Stateful)?(Random(?!Shuffle$)|TruncatedNormal|ParameterizedTruncated|Multinomial)"
)


@dataclass(frozen=True)
class _Int8:
    """The int8 model of float input and output, for a calibration; whether litert-quantizer quantized it."""

    calibration: CalibrationSet
    flatbuffer: bytes
    by_litert: bool


class TracedModel:
    """A model that TensorFlow runs and converts: traced once and calibrated once for all variants."""

    def __init__(
        self,
        call: Callable[[Any], Any],
        height: int,
        width: int,
        framework: str = "Keras",
        target: OlderRuntime | None = None,
        reference: Callable[[Any], Any] | None = None,
        function: Any = None,
    ) -> None:
        """Take `call`, which maps float32 [n, height, width, 3] of 0..255 to probabilities [n, classes].

        `reference` does the same with the model as it was loaded, before `call` was built around it, and
        `function` is what `trace` makes of `call`, where that is done already.
        """
        self.framework = framework
        self._reference = reference or call
        self._call, self._size, self._target = call, (height, width), target
        self._function = function
        self._float32: bytes | None = None
        self._int8: _Int8 | None = None

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities; see FloatModel."""
        return np.asarray(self._reference(pixels.astype(np.float32)), np.float32)

    def make(self, recipe: Recipe, calibration: CalibrationSet | None) -> bytes:
        """Return a variant's flatbuffer; see FloatModel."""
        if recipe == FLOAT32:
            return self._make_float32()
        if recipe.activations != "int8" or calibration is None:
            return repack(self._convert(recipe, calibration))
        if self._int8 is None or self._int8.calibration is not calibration:
            self._int8 = self._make_int8(calibration)
        made = self._int8.flatbuffer
        return repack(to_uint8_io(made) if recipe.io == "uint8" else made)

    def packages(self, recipe: Recipe) -> tuple[str, ...]:
        """Return the distributions that made a variant; see FloatModel."""
        by_litert = recipe == MIXED or (
            recipe.activations == "int8" and self._int8 is not None and self._int8.by_litert
        )
        return ("tensorflow", "litert-quantizer") if by_litert else ("tensorflow",)

    def _make_int8(self, calibration: CalibrationSet) -> _Int8:
        """Return the int8 model, with corrected biases and rounding.

        TensorFlow quantizes where litert-quantizer has no 8-bit form of a layer. The graph is the same, but
        TensorFlow's ranges of some tensors cover those of their neighbours too.
        """
        float32 = self._make_float32()
        pixels = store_pixels(calibration.read())
        made, problem = _quantize(float32, pixels)
        if made is None:
            say(f"int8 is quantized by TensorFlow, for litert-quantizer cannot: {problem}")
        plain = made or self._convert(INT8_FLOAT_IO, calibration)
        corrected = Correction(float32, lambda: iter(pixels)).apply(plain)
        if corrected is plain:
            say(
                "int8 keeps its biases and rounding as they were made: its layers are not those of the "
                "float32 file, or have no 8-bit weights with a bias"
            )
        return _Int8(calibration, corrected, made is not None)

    def _make_float32(self) -> bytes:
        if self._float32 is None:
            self._float32 = repack(self._convert(FLOAT32, None))
        return self._float32

    def _convert(self, recipe: Recipe, calibration: CalibrationSet | None) -> bytes:
        if self._function is None:
            self._function = trace(self._call, *self._size)
        return to_tflite(self._function, recipe, calibration, self._target)


def _quantize(float32: bytes, pixels: NDArray[np.uint8]) -> tuple[bytes | None, str]:
    """Return the int8 model of float input and output by litert-quantizer, or None and why it has none."""
    try:
        quantizer = LayerQuantizer(float32, observe(float32, pixels))
        if quantizer.unsupported:
            operations = sorted({layer.operation for layer in quantizer.unsupported})
            return None, f"it has no 8-bit form of {', '.join(operations)}"
        return quantizer.quantize([layer.index for layer in quantizer.layers]), ""
    except ConversionError as error:
        return None, str(error)


def trace(call: Callable[[Any], Any], height: int, width: int) -> Any:
    """Return `call` as a concrete function of one image, float32 [1, height, width, 3] of 0..255.

    Tracing a large model takes seconds, and one trace serves all variants. Raises ConversionError when the
    model cannot be run on such an image.
    """
    specification = tf.TensorSpec((1, height, width, 3), tf.float32, name="image")
    try:
        with silenced():
            function = tf.function(call).get_concrete_function(specification)
    except Exception as error:  # Layers may raise anything.
        raise ConversionError(
            f"The model cannot be run on one image of {height}x{width} pixels: {error_summary(error)}"
        ) from error
    if random := sorted(set(_layers(function, _RANDOM.match))):
        raise ConversionError(
            "The model gives another answer each time: it draws random numbers in "
            f"{', '.join(map(repr, random))}. Save it without training=True where that layer is called"
        )
    return function


def to_tflite(
    function: Any, recipe: Recipe, calibration: CalibrationSet | None, target: OlderRuntime | None = None
) -> bytes:
    """Convert a traced function by `recipe`, for the newest runtime or for `target`.

    Raises ConversionError, which names the layers in the way, when TensorFlow cannot convert it.
    """
    try:
        with silenced():
            return bytes(_configure(function, recipe, calibration, target).convert())
    except Exception as error:  # The converter raises its own errors, and Python's of several kinds.
        raise ConversionError(
            f"TensorFlow cannot make the {recipe.name} variant: {explain(error, function)}"
        ) from error


def to_uint8_io(flatbuffer: bytes) -> bytes:
    """Return a fully quantized model with uint8 input and output in place of float32."""
    from tensorflow.lite.python.util import modify_model_io_type

    with silenced():
        return bytes(modify_model_io_type(flatbuffer, tf.uint8, tf.uint8))


def explain(error: Exception, function: Any) -> str:
    """Return why a conversion failed, in one line: the operations that TFLite lacks, and their layers."""
    lacking = sorted(set(re.findall(r"\btf\.([A-Z]\w+)", str(error))))
    if not lacking:
        return error_summary(error)
    if half := re.search(r"tensor<[^>]*x(f16|bf16)>", str(error)):
        return f"it computes with {half[1]}, and the converter takes float32 models. Save it in float32"
    parts = []
    for operation in lacking:
        layers = sorted(set(_layers(function, operation.__eq__)) - {operation})
        parts.append(f"{operation} in {', '.join(map(repr, layers))}" if layers else operation)
    return f"TFLite has no operation for {'; '.join(parts)}. Replace or remove the layers that use it"


def _layers(function: Any, chosen: Callable[[str], Any]) -> Iterator[str]:
    """Yield the names of the layers that use a chosen operation, such as "block_1/my_layer"."""
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for inner in graph.library.function for node in inner.node_def)]
    for node in nodes:
        if chosen(node.op):  # Its name is model/layer/.../operation; a bare operation has no layer.
            path = node.name.split("/")
            yield path[1] if len(path) > 2 else path[-1]


def error_summary(error: Exception) -> str:
    """Return an exception's text in one line, at most 200 characters, without colours."""
    text = " ".join(re.sub(r"\x1b\[[\d;]*m", "", str(error)).split())
    return text if len(text) <= 200 else f"{text[:197]}..."


def _configure(
    function: Any, recipe: Recipe, calibration: CalibrationSet | None, target: OlderRuntime | None
) -> Any:
    # Without the model as second argument: with it, the converter makes a file without weights.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if recipe.weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if recipe.weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if recipe.calibrated:
        if calibration is None:
            raise ValueError(f"{recipe.name} needs calibration images")
        converter.representative_dataset = lambda: _samples(calibration)
        kernels = _INT16X8 if recipe.activations == "int16" else tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        converter.target_spec.supported_ops = [kernels]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(recipe.io)
    dynamic = recipe.weights == "int8" and not recipe.calibrated
    for name, value in converter_settings(target, dynamic=dynamic).items():
        setattr(converter, name, value)
    return converter


def _samples(calibration: CalibrationSet) -> Iterator[list[Any]]:
    for pixels in calibration.read():
        yield [pixels[None].astype(np.float32)]
