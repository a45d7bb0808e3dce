"""The version that each operation of a quantized model needs.

litert-quantizer writes version 1 everywhere, so that a runtime which is too old gives wrong answers
instead of refusing the file. The numbers are those of
tensorflow/compiler/mlir/lite/tools/versioning/op_version.cc, for the 8-bit and 16-bit float types that this
program makes.
"""

from __future__ import annotations

from typing import Any

from ai_edge_litert import schema_py_generated as schema

from .flatgraph import operation_of

_FLOAT32, _FLOAT16, _INT8 = schema.TensorType.FLOAT32, schema.TensorType.FLOAT16, schema.TensorType.INT8
_VERSION_2_FOR_INT8 = {
    "ADD", "ARG_MAX", "ARG_MIN", "AVERAGE_POOL_2D", "BATCH_MATMUL", "BATCH_TO_SPACE_ND",
    "CONCATENATION", "DEPTH_TO_SPACE", "EQUAL", "EXP", "GATHER", "GELU", "GREATER", "LESS", "LOGISTIC",
    "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MIRROR_PAD", "MUL", "NOT_EQUAL", "PACK", "PAD",
    "PADV2", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR",
    "RSQRT", "SELECT", "SLICE", "SOFTMAX", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V",
    "SQRT", "SQUARED_DIFFERENCE", "STRIDED_SLICE", "SUB", "SUM", "TANH", "TRANSPOSE", "TRANSPOSE_CONV",
    "UNPACK",
}  # fmt: skip
# For 8-bit weights under float activations: with one scale, and with a scale for each channel.
_HYBRID = {"CONV_2D": (2, 5), "DEPTHWISE_CONV_2D": (4, 6), "FULLY_CONNECTED": (3, 12)}
_INT8_WEIGHTED = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4}


def set_versions(model: Any) -> None:
    """Raise the version of each operator code of a schema.ModelT to the highest that its operators need."""
    for operator in model.subgraphs[0].operators:
        code = model.operatorCodes[operator.opcodeIndex]
        code.version = max(code.version, needed_version(model, operator))


def needed_version(model: Any, operator: Any) -> int:
    """Return the lowest version of an operator's operation that supports the types of its tensors."""
    tensors = model.subgraphs[0].tensors
    types = [tensors[i].type for i in operator.inputs if i >= 0]
    output = tensors[operator.outputs[0]].type
    operation = operation_of(model, operator)
    scales = [_scales(tensors[i]) for i in operator.inputs if i >= 0]
    if operation in _HYBRID:
        fully_connected = _fully_connected_version(operator) if operation == "FULLY_CONNECTED" else 1
        if types[0] == types[1] == _INT8:
            return max(fully_connected, _INT8_WEIGHTED[operation])
        hybrid = types[0] == output == _FLOAT32 and types[1] == _INT8
        return max(fully_connected, _HYBRID[operation][len(scales[1]) > 1] if hybrid else 1)
    if operation == "DEQUANTIZE":
        return _dequantize_version(types[0], len(scales[0]) > 1)
    quantized = _INT8 in types
    if operation == "BROADCAST_TO":
        return 3 if quantized else 2
    if operation == "MUL" and quantized and _rescale(scales, _scales(tensors[operator.outputs[0]])) >= 1:
        return 3
    return 2 if quantized and operation in _VERSION_2_FOR_INT8 else 1


def _fully_connected_version(operator: Any) -> int:
    if len(operator.inputs) == 2 or operator.inputs[2] < 0:
        return 6
    return 5 if operator.builtinOptions.keepNumDims else 1


def _dequantize_version(dtype: int, per_channel: bool) -> int:
    if dtype == _FLOAT16:
        return 3
    return (5 if per_channel else 2) if dtype == _INT8 else 1


def _scales(tensor: Any) -> list[float]:
    quantization = tensor.quantization
    return [] if quantization is None or quantization.scale is None else list(quantization.scale)


def _rescale(inputs: list[list[float]], output: list[float]) -> float:
    """Return the factor by which MUL multiplies the product of two stored values; 0 without all scales."""
    if len(inputs) < 2 or not (inputs[0] and inputs[1] and output):
        return 0.0
    return inputs[0][0] * inputs[1][0] / output[0]
