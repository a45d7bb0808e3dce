"""A TensorFlow function as the operations that compute its output, under TFLite's names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...edge.output_graph import INPUT, GraphOperation

_KINDS = {
    "Add": "ADD", "AddN": "ADD_N", "AddV2": "ADD", "AvgPool": "AVERAGE_POOL_2D",
    "BatchMatMul": "BATCH_MATMUL", "BatchMatMulV2": "BATCH_MATMUL", "BatchMatMulV3": "BATCH_MATMUL",
    "BiasAdd": "ADD", "Cast": "CAST", "CheckNumerics": "IDENTITY", "ClipByValue": "MINIMUM",
    "ConcatV2": "CONCATENATION", "Conv2D": "CONV_2D", "Conv2DBackpropInput": "TRANSPOSE_CONV",
    "Conv3D": "CONV_3D", "DepthwiseConv2dNative": "DEPTHWISE_CONV_2D", "Div": "DIV", "DivNoNan": "DIV",
    "Einsum": "BATCH_MATMUL", "EnsureShape": "IDENTITY", "Exp": "EXP", "ExpandDims": "EXPAND_DIMS",
    "FakeQuantWithMinMaxArgs": "FAKE_QUANT", "FakeQuantWithMinMaxVars": "FAKE_QUANT",
    "FakeQuantWithMinMaxVarsPerChannel": "FAKE_QUANT", "FusedBatchNorm": "MUL", "FusedBatchNormV2": "MUL",
    "FusedBatchNormV3": "MUL", "GatherNd": "GATHER_ND", "GatherV2": "GATHER", "Identity": "IDENTITY",
    "LeakyRelu": "LEAKY_RELU", "Log": "LOG", "LogSoftmax": "LOG_SOFTMAX", "MatMul": "FULLY_CONNECTED",
    "Max": "REDUCE_MAX", "MaxPool": "MAX_POOL_2D", "Maximum": "MAXIMUM", "Mean": "MEAN", "Minimum": "MINIMUM",
    "Mul": "MUL", "Neg": "NEG", "Pack": "PACK", "Pad": "PAD", "PadV2": "PADV2",
    "PlaceholderWithDefault": "IDENTITY", "PreventGradient": "IDENTITY",
    "QuantizeAndDequantizeV2": "FAKE_QUANT", "QuantizeAndDequantizeV3": "FAKE_QUANT",
    "QuantizeAndDequantizeV4": "FAKE_QUANT", "RealDiv": "DIV", "Relu": "RELU", "Relu6": "RELU6",
    "Reshape": "RESHAPE", "ReverseV2": "REVERSE_V2", "Sigmoid": "LOGISTIC", "Slice": "SLICE",
    "Softmax": "SOFTMAX", "Split": "SPLIT", "SplitV": "SPLIT_V", "Squeeze": "SQUEEZE",
    "StopGradient": "IDENTITY", "StridedSlice": "STRIDED_SLICE", "Sub": "SUB", "Sum": "SUM", "Tile": "TILE",
    "Transpose": "TRANSPOSE", "Unpack": "UNPACK",
}  # fmt: skip
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_CONSTANTS = ("Const", "ReadVariableOp", "VarHandleOp")
_DEEPEST = 50  # Functions inside functions.


@dataclass(frozen=True)
class _Place:
    """A tensor in a function's graph; `calls` are the operations that call this function, the inmost last."""

    tensor: Any
    graph: Any
    calls: tuple[tuple[Any, Any], ...] = ()


def last_operation(function: Any, output: int = 0) -> GraphOperation:
    """Return the operation that computes output number `output` of a concrete function."""
    place = _Place(function.graph.outputs[output], function.graph)
    return _operation(place) or GraphOperation("no operation", tuple, None)


def _operation(place: _Place) -> GraphOperation | None:
    """Return the operation that computes a tensor; None for a constant, or a weight."""
    made_by = place.tensor.op
    if made_by.type in _CALLS and len(place.calls) < _DEEPEST:
        inner = place.graph._get_function(made_by.get_attr("f").name).graph
        calls = (*place.calls, (made_by, place.graph))
        return _operation(_Place(inner.outputs[place.tensor.value_index], inner, calls))
    if made_by.type == "Placeholder":
        return _argument(place)
    if made_by.type in _CONSTANTS:
        return None
    if made_by.type == "IdentityN":
        return _operation(_Place(made_by.inputs[place.tensor.value_index], place.graph, place.calls))
    key = (made_by.name, *(call.name for call, _ in place.calls))
    kind = _KINDS.get(made_by.type, made_by.type)
    return GraphOperation(kind, lambda: list(_inputs(place)), key)


def _inputs(place: _Place) -> Iterator[GraphOperation]:
    for tensor in place.tensor.op.inputs:
        found = _operation(_Place(tensor, place.graph, place.calls))
        if found is not None:
            yield found


def _argument(place: _Place) -> GraphOperation | None:
    """Return what computes an argument of a function; None for a weight that it captures."""
    if any(place.tensor is captured for _, captured in place.graph.captures) and not place.calls:
        return None
    if not place.calls:
        return GraphOperation(INPUT, tuple, place.tensor.name)
    number = next(i for i, given in enumerate(place.graph.inputs) if given is place.tensor)
    call, graph = place.calls[-1]
    return _operation(_Place(call.inputs[number], graph, place.calls[:-1]))
