"""The layers of a quantized model that have 8-bit weights, beside the same layers of its float model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from .flatgraph import is_constant, operation_of

CHANNEL_AXIS = {"CONV_2D": 0, "FULLY_CONNECTED": 0, "DEPTHWISE_CONV_2D": 3}
LARGEST_BIAS = 2**30  # Half of int32, which leaves the other half to the sum that the bias is added to.
_INT8, _INT32 = schema.TensorType.INT8, schema.TensorType.INT32


@dataclass(frozen=True)
class WeightedLayer:
    """A layer in both models: operators of schema.ModelT, whose weights are [outputs, inputs] here.

    `inputs` counts the values that one output is computed from: for a convolution of 3x3 on 16 channels 144,
    for a depthwise one 9.
    """

    float_model: Any
    quantized: Any
    source: Any
    operator: Any
    operation: str

    @property
    def given(self) -> int:
        """The float model's tensor that the layer reads."""
        return int(self.source.inputs[0])

    @property
    def output(self) -> int:
        """The float model's tensor that the layer computes."""
        return int(self.source.outputs[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """The stored shape of the weights."""
        return tuple(map(int, _tensor(self.float_model, self.source, 1).shape))

    @property
    def depthwise(self) -> bool:
        """Whether each output reads one channel of the input only."""
        return self.operation == "DEPTHWISE_CONV_2D"

    @property
    def float_weights(self) -> NDArray[np.float64]:
        """The float weights, float64 [outputs, inputs]."""
        values = read_values(self.float_model, self.source.inputs[1], np.float32)
        return self._rows(values).astype(np.float64)

    @property
    def float_bias(self) -> NDArray[np.float64]:
        """The float bias, float64 [outputs]."""
        return read_values(self.float_model, self.source.inputs[2], np.float32).reshape(-1).astype(np.float64)

    @property
    def stored_weights(self) -> NDArray[np.int8]:
        """The 8-bit weights, int8 [outputs, inputs]."""
        return self._rows(read_values(self.quantized, self.operator.inputs[1], np.int8))

    @property
    def scales(self) -> NDArray[np.float64]:
        """The scale of each output's weights, float64 [outputs]."""
        scales = np.asarray(_tensor(self.quantized, self.operator, 1).quantization.scale, np.float64)
        return np.broadcast_to(scales, (self.shape[CHANNEL_AXIS[self.operation]],))

    @property
    def bias_scales(self) -> NDArray[np.float64]:
        """The step of each output's bias: the scale of the input times that of the weights, [outputs]."""
        return self.scales * float(_tensor(self.quantized, self.operator, 0).quantization.scale[0])

    def store_weights(self, weights: NDArray[np.int8]) -> None:
        """Replace the 8-bit weights by int8 [outputs, inputs]."""
        values = weights.T if self.depthwise else weights
        store_values(self.quantized, _tensor(self.quantized, self.operator, 1), values)

    @property
    def stored_bias(self) -> NDArray[np.int32]:
        """The 32-bit bias, int32 [outputs]."""
        return read_values(self.quantized, self.operator.inputs[2], np.int32).reshape(-1)

    def store_bias(self, bias: NDArray[np.int32]) -> None:
        """Replace the 32-bit bias, int32 [outputs]."""
        store_values(self.quantized, _tensor(self.quantized, self.operator, 2), bias)

    def _rows(self, values: NDArray[Any]) -> NDArray[Any]:
        if self.depthwise:
            return values.reshape(-1, values.shape[3]).T
        return values.reshape(values.shape[0], -1)


def weighted_layers(float_model: Any, quantized: Any) -> list[WeightedLayer] | None:
    """Return the layers with 8-bit weights and 32-bit biases of a quantized schema.ModelT, in their order.

    Layers that stayed float, that share weights, grouped convolutions and depthwise ones of several outputs a
    channel are left out. Returns None where the two models do not have the same layers with weights in the
    same order.
    """
    sources, operators = _with_weights(float_model), _with_weights(quantized)
    kinds = [
        [(operation_of(model, operator), tuple(_tensor(model, operator, 1).shape)) for operator in found]
        for model, found in ((float_model, sources), (quantized, operators))
    ]
    if kinds[0] != kinds[1]:
        return None
    return [
        WeightedLayer(float_model, quantized, source, operator, operation_of(float_model, source))
        for source, operator in zip(sources, operators, strict=True)
        if _has_bias(float_model, source)
        and _has_bias(quantized, operator)
        and _is_plain(float_model, source)
        and _types(quantized, operator) == (_INT8, _INT8, _INT32)
        and _is_alone(quantized, operator)
    ]


def read_values(model: Any, tensor: int, dtype: Any) -> NDArray[Any]:
    """Return the values of a constant, in the shape of its tensor."""
    found = model.subgraphs[0].tensors[tensor]
    values = np.asarray(model.buffers[found.buffer].data, np.uint8).view(dtype)
    return np.asarray(values.reshape(found.shape))


def store_values(model: Any, tensor: Any, values: NDArray[Any]) -> None:
    """Store the values in a new buffer: another tensor may share the old one."""
    model.buffers.append(schema.BufferT(data=np.ascontiguousarray(values).reshape(-1).view(np.uint8)))
    tensor.buffer = len(model.buffers) - 1


def _with_weights(model: Any) -> list[Any]:
    return [
        operator
        for operator in model.subgraphs[0].operators
        if operation_of(model, operator) in CHANNEL_AXIS and is_constant(model, int(operator.inputs[1]))
    ]


def _tensor(model: Any, operator: Any, number: int) -> Any:
    return model.subgraphs[0].tensors[operator.inputs[number]]


def _has_bias(model: Any, operator: Any) -> bool:
    inputs = operator.inputs
    return len(inputs) > 2 and inputs[2] >= 0 and is_constant(model, int(inputs[2]))


def _types(model: Any, operator: Any) -> tuple[int, ...]:
    return tuple(_tensor(model, operator, number).type for number in range(3))


def _is_alone(model: Any, operator: Any) -> bool:
    """Return whether no other operator reads the weights or the bias."""
    readers = [set(map(int, other.inputs)) for other in model.subgraphs[0].operators]
    return all(sum(int(tensor) in read for read in readers) == 1 for tensor in operator.inputs[1:3])


def _is_plain(model: Any, operator: Any) -> bool:
    """Return whether each output reads all channels, or in a depthwise layer the one of its own number."""
    given, weights = (_tensor(model, operator, number).shape for number in (0, 1))
    operation = operation_of(model, operator)
    if operation == "FULLY_CONNECTED":
        return bool(np.prod(given) == weights[1])
    return bool(given[-1] == weights[3])
