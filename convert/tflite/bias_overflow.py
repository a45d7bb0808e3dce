"""Repairs biases that did not fit into 32 bits.

A channel whose weights are nearly zero gets a tiny scale, and its bias, stored in units of the input's scale
times the weights', leaves the range of int32: litert-quantizer then writes another number. TensorFlow's
quantizer makes the weights' scale larger instead, so that the bias takes half the range
(AdjustWeightsForBiasScale in tensorflow/lite/tools/optimize/quantization_utils.cc).
This does the same afterwards.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from .flatgraph import operation_of
from .layer_weights import CHANNEL_AXIS, LARGEST_BIAS, read_values, store_values


def repair_biases(float_model: Any, quantized: Any) -> None:
    """Rewrite the overflowing channels of a quantized schema.ModelT, from the float model it was made of."""
    made = {int(operator.outputs[0]): operator for operator in float_model.subgraphs[0].operators}
    for operator in quantized.subgraphs[0].operators:
        axis = CHANNEL_AXIS.get(operation_of(quantized, operator))
        source = made.get(int(operator.outputs[0]))  # Tensors of the float model keep their numbers.
        if axis is None or source is None or len(operator.inputs) < 3 or operator.inputs[2] < 0:
            continue
        tensors = quantized.subgraphs[0].tensors
        given, weights, bias = (tensors[i] for i in operator.inputs[:3])
        if (weights.type, bias.type) == (schema.TensorType.INT8, schema.TensorType.INT32):
            _repair(
                quantized,
                (given.quantization.scale[0], weights, bias),
                read_values(float_model, source.inputs[1], np.float32),
                read_values(float_model, source.inputs[2], np.float32),
                axis,
            )


def _repair(
    model: Any,
    parts: tuple[float, Any, Any],
    float_weights: NDArray[np.float32],
    float_bias: NDArray[np.float32],
    axis: int,
) -> None:
    input_scale, weights, bias = parts
    scales = np.array(weights.quantization.scale, np.float64)
    needed = np.abs(float_bias.astype(np.float64)) / (LARGEST_BIAS * input_scale)
    wrong = np.broadcast_to(needed, float_bias.shape) > scales
    if not wrong.any():
        return
    scales = np.where(wrong, needed, scales) if scales.size > 1 else np.maximum(scales, needed.max())
    scales = scales.astype(np.float32).astype(np.float64)
    bias_scales = scales * np.float64(input_scale)
    shape = [1] * float_weights.ndim
    shape[axis] = -1
    stored = np.clip(np.rint(float_weights / scales.reshape(shape)), -127, 127).astype(np.int8)
    store_values(model, weights, stored)
    store_values(model, bias, np.rint(float_bias / bias_scales).astype(np.int32))
    weights.quantization.scale = scales.astype(np.float32)
    bias.quantization.scale = bias_scales.astype(np.float32)
