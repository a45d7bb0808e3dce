"""Adds the output for unknown things to a .tflite that ends in a fully connected layer and softmax.

    features -+- last layer - softmax ------------- p -+- [p * (1 - q), q]
              +- cosine to the nearest direction -- q -+

q = sigmoid(STEEPNESS * (threshold - cosine)), and at most MOST. So q exceeds every p * (1 - q), and is the
first answer in any program, exactly where

    score = cosine + ln(max p) / STEEPNESS < threshold.

All values sum to 1. Only operations are used that tflite-runtime 2.14, LiteRT.js, MediaPipe and TensorFlow
Lite Micro have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ...edge.tflite.last_layer import find_last_layer
from ...edge.tflite.model import EditableModel
from ..recipes import Weights
from .flatgraph import operation_of, pack, unpack
from .op_versions import set_versions

# How fast the output rises as the cosine falls: by 0.05 below the threshold, q is 0.88.
STEEPNESS = 40.0
# Of q: a quarter is left to the classes, so that 8-bit outputs can still tell which of them is the likeliest.
MOST = 0.75
# Below the square of any feature vector's length: a picture may give features that are all 0.
_LEAST_SQUARE = 1e-6
_INT8_LIMIT = 127
_FLOAT32, _FLOAT16, _INT8 = schema.TensorType.FLOAT32, schema.TensorType.FLOAT16, schema.TensorType.INT8
_INT32, _UINT8 = schema.TensorType.INT32, schema.TensorType.UINT8


@dataclass(frozen=True)
class UnknownGraph:
    """What the added output is made of.

    `directions`, float32 [directions, features], are rows of length 1 that point to the classes. Below
    `threshold` the score (see the module) is that of an unknown thing. `largest` is the highest product of a
    direction and the features of known images: 8-bit products reach up to it.
    """

    directions: NDArray[np.float32]
    threshold: float
    largest: float


def takes_unknown_output(flatbuffer: bytes) -> bool:
    """Return whether the output can be added; raises ConversionError if the model is damaged."""
    layer = find_last_layer(EditableModel(flatbuffer))
    return layer is not None and layer.operator.name == "FULLY_CONNECTED"


def add_unknown_output(flatbuffer: bytes, unknown: UnknownGraph, storage: Weights) -> bytes:
    """Return the model with one more value behind those of the classes, in the same output tensor.

    `storage` is how the directions are stored. Raises ConversionError where `takes_unknown_output` is False.
    """
    layer = find_last_layer(EditableModel(flatbuffer))
    if layer is None:
        raise ValueError("takes_unknown_output was not asked")
    model = unpack(flatbuffer)
    builder = _GraphBuilder(model)
    graph = model.subgraphs[0]
    probabilities, stored_output = _take_probabilities(builder)
    cosine = _cosine(builder, int(layer.operator.inputs[0]), unknown, storage)
    outputs = _shares(builder, probabilities, cosine, unknown.threshold)
    classes = int(graph.tensors[probabilities].shape[-1])
    if stored_output is not None:
        result = builder.tensor("output", [1, classes + 1], stored_output.type, stored_output.quantization)
        builder.add("QUANTIZE", schema.QuantizeOptionsT(), [outputs], [result])
        outputs = result
    for signature in model.signatureDefs or []:
        for entry in signature.outputs or []:
            if entry.tensorIndex == int(graph.outputs[0]):
                entry.tensorIndex = outputs
    graph.outputs = [outputs]
    set_versions(model)
    return pack(model)


def _take_probabilities(builder: _GraphBuilder) -> tuple[int, Any | None]:
    """Return the probabilities in float, and what the model's output is stored as: None for float.

    An operation that only stores the softmax as another dtype is taken away.
    """
    graph = builder.model.subgraphs[0]
    output = int(graph.outputs[0])
    tensor = graph.tensors[output]
    if tensor.type == _FLOAT32:
        return output, None
    last = next(each for each in graph.operators if output in map(int, each.outputs))
    given = output
    if operation_of(builder.model, last) == "QUANTIZE":
        graph.operators = [each for each in graph.operators if each is not last]
        given = int(last.inputs[0])
    return builder.dequantized("probabilities", given), tensor


def _cosine(builder: _GraphBuilder, features: int, unknown: UnknownGraph, storage: Weights) -> int:
    """Return the highest cosine between the features, a tensor [1, features], and a direction: [1, 1]."""
    tensors = builder.model.subgraphs[0].tensors
    stored = tensors[features]
    real = features if stored.type == _FLOAT32 else builder.dequantized("features", features)
    if stored.type == _INT8:
        products = _int8_products(builder, features, unknown)
    else:
        products = _float_products(builder, real, unknown.directions, storage)
    nearest = _reduced(builder, "REDUCE_MAX", products)
    if tensors[nearest].type == _INT8:
        nearest = builder.dequantized("nearest", nearest)
    squares = builder.float_result("MUL", schema.MulOptionsT(), [real, real], tensors[real].shape)
    total = _reduced(builder, "SUM", squares)
    least = builder.constant("least_square", np.array([[_LEAST_SQUARE]], np.float32), _FLOAT32)
    positive = builder.float_result("ADD", schema.AddOptionsT(), [total, least], [1, 1])
    inverse = builder.float_result("RSQRT", None, [positive], [1, 1])
    return builder.float_result("MUL", schema.MulOptionsT(), [nearest, inverse], [1, 1])


def _int8_products(builder: _GraphBuilder, features: int, unknown: UnknownGraph) -> int:
    """Return the products with each direction in 8 bits, from 0 to `largest`: the highest is none below 0."""
    tensors = builder.model.subgraphs[0].tensors
    values, scale = _rounded(unknown.directions)
    given = float(tensors[features].quantization.scale[0])
    weights = builder.constant("directions", values, _INT8, scale)
    bias = builder.constant("no_bias", np.zeros(len(values), np.int32), _INT32, given * scale)
    step = _quantization(unknown.largest / 255, -128)
    products = builder.tensor("products", [1, len(values)], _INT8, step)
    builder.add("FULLY_CONNECTED", schema.FullyConnectedOptionsT(), [features, weights, bias], [products])
    return products


def _float_products(
    builder: _GraphBuilder, features: int, directions: NDArray[np.float32], storage: Weights
) -> int:
    if storage == "float32":
        weights = builder.constant("directions", directions, _FLOAT32)
    elif storage == "float16":
        weights = builder.dequantized(
            "directions", builder.constant("stored", directions.astype(np.float16), _FLOAT16)
        )
    else:
        values, scale = _rounded(directions)
        weights = builder.dequantized("directions", builder.constant("stored", values, _INT8, scale))
    bias = builder.constant("no_bias", np.zeros(len(directions), np.float32), _FLOAT32)
    options = schema.FullyConnectedOptionsT()
    inputs = [features, weights, bias]
    return builder.float_result("FULLY_CONNECTED", options, inputs, [1, len(directions)])


def _shares(builder: _GraphBuilder, probabilities: int, cosine: int, threshold: float) -> int:
    """Return [p * (1 - q), q]."""
    most = math.log(MOST / (1 - MOST))
    slope = builder.constant("steepness", np.array([[STEEPNESS]], np.float32), _FLOAT32)
    steep = builder.float_result("MUL", schema.MulOptionsT(), [cosine, slope], [1, 1])
    offset = builder.constant("offset", np.array([[most - STEEPNESS * threshold]], np.float32), _FLOAT32)
    relu = schema.ActivationFunctionType.RELU  # So that q is at most MOST.
    above = builder.float_result(
        "ADD", schema.AddOptionsT(fusedActivationFunction=relu), [steep, offset], [1, 1]
    )
    limit = builder.constant("limit", np.array([[most]], np.float32), _FLOAT32)
    unlikely = builder.float_result("SUB", schema.SubOptionsT(), [above, limit], [1, 1])
    known = builder.float_result("LOGISTIC", None, [unlikely], [1, 1])
    whole = builder.constant("whole", np.array([[1.0]], np.float32), _FLOAT32)
    share = builder.float_result("SUB", schema.SubOptionsT(), [whole, known], [1, 1])
    shape = [int(side) for side in builder.model.subgraphs[0].tensors[probabilities].shape]
    classes = builder.float_result("MUL", schema.MulOptionsT(), [probabilities, known], shape)
    joined = [1, shape[-1] + 1]
    return builder.float_result(
        "CONCATENATION", schema.ConcatenationOptionsT(axis=1), [classes, share], joined
    )


def _reduced(builder: _GraphBuilder, operation: str, tensor: int) -> int:
    """Return the maximum or sum of a tensor [1, n], as [1, 1]."""
    stored = builder.model.subgraphs[0].tensors[tensor]
    axis = builder.constant(f"{operation.lower()}_axis", np.array([1], np.int32), _INT32)
    result = builder.tensor(operation.lower(), [1, 1], stored.type, stored.quantization)
    builder.add(operation, schema.ReducerOptionsT(keepDims=True), [tensor, axis], [result])
    return result


def _rounded(directions: NDArray[np.float32]) -> tuple[NDArray[np.int8], float]:
    """Return the directions as int8, and their one scale: old runtimes know no more of such a layer."""
    scale = (float(np.abs(directions).max()) or 1.0) / _INT8_LIMIT  # Features may all be 0.
    return np.rint(directions / scale).astype(np.int8), scale


def _quantization(scale: float, zero_point: int) -> Any:
    return schema.QuantizationParametersT(scale=[scale], zeroPoint=[zero_point])


class _GraphBuilder:
    """Appends tensors and operators to an unpacked schema.ModelT, in the order in which they run."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def tensor(
        self, name: str, shape: Sequence[int], kind: int, quantization: Any = None, buffer: int = 0
    ) -> int:
        """Return the number of a new tensor."""
        tensors = self.model.subgraphs[0].tensors
        sides = [int(side) for side in shape]
        tensors.append(
            schema.TensorT(
                shape=sides,
                type=kind,
                buffer=buffer,
                name=f"unknown/{name}".encode(),
                quantization=quantization,
            )
        )
        return len(tensors) - 1

    def constant(self, name: str, values: NDArray[Any], kind: int, scale: float | None = None) -> int:
        """Return the number of a new tensor that holds `values`."""
        raw = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.model.buffers.append(schema.BufferT(data=raw))
        quantization = None if scale is None else _quantization(scale, 0)
        return self.tensor(name, values.shape, kind, quantization, len(self.model.buffers) - 1)

    def dequantized(self, name: str, tensor: int) -> int:
        """Return the number of a new tensor with the same values in float32."""
        shape = self.model.subgraphs[0].tensors[tensor].shape
        return self.float_result("DEQUANTIZE", schema.DequantizeOptionsT(), [tensor], shape, name)

    def float_result(
        self, operation: str, options: Any, inputs: Sequence[int], shape: Sequence[int], name: str = ""
    ) -> int:
        """Append an operator with one output in float32, and return the number of that."""
        result = self.tensor(name or operation.lower(), shape, _FLOAT32)
        self.add(operation, options, inputs, [result])
        return result

    def add(self, operation: str, options: Any, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """Append an operator."""
        number = getattr(schema.BuiltinOperator, operation)
        operator = schema.OperatorT(
            opcodeIndex=self._code(number), inputs=list(inputs), outputs=list(outputs)
        )
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        self.model.subgraphs[0].operators.append(operator)

    def _code(self, number: int) -> int:
        """Return the place of an operation among the model's; it is added where it is missing."""
        codes = self.model.operatorCodes
        for place, code in enumerate(codes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == number and not code.customCode:
                return place
        codes.append(
            schema.OperatorCodeT(builtinCode=number, deprecatedBuiltinCode=min(number, 127), version=1)
        )
        return len(codes) - 1
