"""Quantizes any float .tflite, layer by layer where asked, without TensorFlow.

litert-quantizer does the arithmetic. This module adds our own ranges, tensor names that it can handle, types
of input and output that phones take, the versions of operations that old runtimes check, and weights inside
the flatbuffer.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection
from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ...edge.errors import ConversionError, MissingPackageError
from ...edge.extras import pip_install
from ...edge.quiet import silenced
from .bias_overflow import repair_biases
from .flatgraph import Layer, is_constant, operation_of, pack, read_layers, text, unpack
from .model_io import make_uint8_io
from .op_versions import set_versions
from .ranges import Clip, Ranges

Kind = Literal["float16", "dynamic", "int8", "int8-float-io"]
_BOUNDARIES = ("QUANTIZE", "DEQUANTIZE")
_NAME = re.compile(r"t(\d+)(\D.*)?", re.DOTALL)


def requantize(float_model: bytes, kind: Kind, ranges: Ranges | None = None) -> bytes:
    """Return a float .tflite as one of the variants; "int8" and "int8-float-io" need `ranges`.

    "float16" stores 16-bit weights; "dynamic" stores 8-bit weights, and the runtime quantizes activations.
    Raises ConversionError as `quantize` does, and ValueError for missing ranges.
    """
    if kind in ("float16", "dynamic"):
        renamed = _Renamed(float_model)
        configure = _float16_weights if kind == "float16" else _dynamic
        return pack(renamed.run(configure, None))
    if ranges is None:
        raise ValueError(f"{kind} needs ranges")
    return quantize(float_model, ranges, io="uint8" if kind == "int8" else "float32")


def quantize(
    float_model: bytes,
    ranges: Ranges,
    *,
    keep_float: Collection[str] = (),
    clip: Clip = "none",
    io: Literal["float32", "uint8"] = "float32",
) -> bytes:
    """Return the model with 8-bit activations, and 8-bit weights with a scale for each channel.

    `keep_float` names the layers that stay as they are, by `Layer.tensor`. With io "uint8" pixels go in at
    scale 1 and probabilities come out at scale 1/256. The same input gives the same bytes. Raises
    ConversionError for a layer that has no 8-bit form, ValueError for a layer that the model lacks.
    """
    quantizer = LayerQuantizer(float_model, ranges, clip)
    unknown = set(keep_float) - {layer.tensor for layer in quantizer.layers}
    if unknown:
        raise ValueError(f"the model has no layers {sorted(unknown)}")
    floats = {layer.index for layer in quantizer.layers if layer.tensor in keep_float}
    unsupported = [layer for layer in quantizer.unsupported if layer.index not in floats]
    if unsupported:
        named = ", ".join(f"{layer.name!r} ({layer.operation})" for layer in unsupported[:5])
        raise ConversionError(
            f"No 8-bit form is known for {len(unsupported)} of the model's layers: {named}. Make a float16 "
            "or dynamic file instead, or keep these layers in float"
        )
    return quantizer.quantize({layer.index for layer in quantizer.layers} - floats, io)


class LayerQuantizer:
    """A float model, read once, from which files are made with any choice of layers in 8 bits.

    `unsupported` are the layers that have no 8-bit form; they stay float.
    """

    def __init__(self, float_model: bytes, ranges: Ranges, clip: Clip = "none") -> None:
        """Read the model; raises ConversionError for other bytes, and for layers that `ranges` lacks."""
        self._renamed = _Renamed(float_model)
        self.layers = self._renamed.layers
        self._bounds = {tensor: observed.bounds(clip) for tensor, observed in ranges.tensors.items()}
        missing = [
            layer.name
            for layer in self.layers
            if self._computes(layer) and layer.output not in ranges.tensors
        ]
        if missing:
            raise ConversionError(
                f"The ranges belong to another model: they lack layers, such as {missing[0]!r}"
            )
        everything = self._renamed.run(lambda quantizer: _static(quantizer, self.layers), self._qsvs())
        self.unsupported = _left_in_float(everything, self.layers)

    def quantize(self, indices: Collection[int], io: Literal["float32", "uint8"] = "float32") -> bytes:
        """Return the model with the layers of these `indices` in 8 bits; raises ConversionError."""
        chosen = [layer for layer in self.layers if layer.index in indices]
        model = self._renamed.run(lambda quantizer: _static(quantizer, chosen), self._qsvs())
        if io == "uint8":
            make_uint8_io(model)
        return pack(model)

    def _computes(self, layer: Layer) -> bool:
        return bool(self._renamed.types[layer.output] == schema.TensorType.FLOAT32)

    def _qsvs(self) -> dict[str, dict[str, Any]]:
        """Return the bounds in litert-quantizer's form: a new copy each time, since it changes its input."""
        result = {}
        for tensor, (low, high) in self._bounds.items():
            shape = (1,) * self._renamed.ranks[tensor]
            result[f"t{tensor}"] = {
                "min": np.full(shape, low, np.float32),
                "max": np.full(shape, high, np.float32),
            }
        return result


class _Renamed:
    """A float model whose tensors are called t0, t1, ...: real names may occur twice, or be invalid UTF-8."""

    def __init__(self, float_model: bytes) -> None:
        model = unpack(float_model)
        self.layers = read_layers(model)
        graph = model.subgraphs[0]
        self.input, self.output = int(graph.inputs[0]), int(graph.outputs[0])
        self.types = [tensor.type for tensor in graph.tensors]
        self.ranks = [0 if tensor.shape is None else len(tensor.shape) for tensor in graph.tensors]
        self._names = [tensor.name for tensor in graph.tensors]
        quantized = [
            t for t in graph.tensors if t.quantization is not None and t.quantization.scale is not None
        ]
        if quantized:
            raise ConversionError(
                f"The model is quantized already, as its tensor {text(quantized[0].name)!r} shows. Give its "
                "float32 version"
            )
        for index, tensor in enumerate(graph.tensors):
            tensor.name = f"t{index}".encode()
        model.signatureDefs = model.signatureDefs or []  # litert-quantizer iterates over them.
        self._model, self._flatbuffer = model, pack(model)

    def run(self, configure: Callable[[Any], None], bounds: dict[str, Any] | None) -> Any:
        """Return the quantized schema.ModelT, with the names that its tensors had."""
        quantizer = _import_quantizer().Quantizer(self._flatbuffer)
        configure(quantizer)
        try:
            # One of its progress bars cannot be switched off; repair_biases repairs what numpy warns of; the
            # interpreter with which it reads the model warns that it is for debugging.
            with silenced(), np.errstate(invalid="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = quantizer.quantize(bounds, enable_progress_report=False, enable_progress_bar=False)
        except Exception as error:  # It raises many kinds of exceptions.
            raise ConversionError(f"The model cannot be quantized: {self._explain(error)}") from error
        model = unpack(bytes(result.quantized_model))
        repair_biases(self._model, model)
        graph = model.subgraphs[0]
        for tensor in graph.tensors:
            match = _NAME.fullmatch(text(tensor.name))
            if match is not None:
                tensor.name = (self._names[int(match[1])] or b"") + (match[2] or "").encode()
        _swap_names(graph, graph.outputs[0], self._names[self.output])
        set_versions(model)
        return model

    def _explain(self, error: Exception) -> str:
        """Return the reason, with the names of layers instead of t0, t1, ..."""
        by_tensor = {layer.output: layer for layer in self.layers}

        def known(match: re.Match[str]) -> str:
            layer = by_tensor.get(int(match[1]))
            return f"{layer.name!r} ({layer.operation})" if layer else match[0]

        return re.sub(r"\bt(\d+)\b", known, " ".join(str(error).split())[:300])


def _swap_names(graph: Any, index: int, name: bytes | None) -> None:
    """Give a tensor the `name` that another one has, and that one the name of this."""
    tensor = graph.tensors[index]
    for other in graph.tensors:
        if other.name == name:
            other.name = tensor.name
            break
    tensor.name = name


def _left_in_float(model: Any, layers: list[Layer]) -> list[Layer]:
    """Return the layers that compute in float although all should have been quantized."""
    tensors = model.subgraphs[0].tensors
    outputs = {
        int(operator.outputs[0])
        for operator in model.subgraphs[0].operators
        if operation_of(model, operator) not in _BOUNDARIES
        and not is_constant(model, int(operator.outputs[0]))
        and tensors[operator.outputs[0]].type == schema.TensorType.FLOAT32
    }
    return [layer for layer in layers if layer.output in outputs]


def _import_quantizer() -> Any:
    try:
        from litert_quantizer import quantizer
    except ImportError:
        raise MissingPackageError(
            "litert-quantizer", "Quantizing a .tflite again", pip_install("convert")
        ) from None
    return quantizer


def _static(quantizer: Any, layers: list[Layer]) -> None:
    from litert_quantizer.qtyping import TFLOperationName as Operation

    if layers:  # One rule for all. The scope of a layer is the names of its outputs, each followed by ";".
        names = "|".join(f"t{layer.output}" for layer in layers)
        quantizer.add_static_config(f"^(?:{names});", Operation.ALL_SUPPORTED, 8, 8)
    # These come last: the later rule wins, and the output of the model has the name of its last layer.
    for operation in (Operation.INPUT, Operation.OUTPUT):
        quantizer.update_quantization_recipe(".*", operation, algorithm_key="no_quantize")


def _dynamic(quantizer: Any) -> None:
    from litert_quantizer.qtyping import TFLOperationName as Operation

    quantizer.add_dynamic_config(".*", Operation.ALL_SUPPORTED, 8)


def _float16_weights(quantizer: Any) -> None:
    from litert_quantizer.qtyping import TFLOperationName as Operation

    for operation in (Operation.CONV_2D, Operation.DEPTHWISE_CONV_2D, Operation.FULLY_CONNECTED):
        quantizer.add_weight_only_config(".*", operation, 16, algorithm_key="float_casting")
