"""Finds the layer of a .tflite that gives the logits, and builds a temperature into it.

In a quantized layer only the scales are divided, and every stored integer stays. So a temperature needs no
conversion and no calibration.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ConversionError
from ..flatbuffer import INT8
from .graph import Operator, Tensor
from .model import EditableModel

TAKES_NONE = "it does not end in a fully connected layer or a convolution, and softmax"
# What may stand between the logits and softmax, or behind softmax, without changing values.
_TRANSPARENT = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "QUANTIZE", "DEQUANTIZE"}
# The layers that can be divided, by the field of their options that holds the fused activation.
_FUSED_ACTIVATION = {"FULLY_CONNECTED": 0, "CONV_2D": 3}
_FLOATS = ("float32", "float16")


class LastLayer(NamedTuple):
    """The operator that computes the logits, and what its answer depends on.

    `parameters` are the stored tensors of its weights and bias, also where DEQUANTIZE expands float16 ones on
    loading. `logits` are the tensors from its output to the input of softmax.
    """

    operator: Operator
    parameters: tuple[Tensor, ...]
    logits: tuple[Tensor, ...]


def find_last_layer(model: EditableModel) -> LastLayer | None:
    """Return the layer that gives the logits.

    Returns None where the graph does not end in a fully connected layer or a convolution, and softmax, or
    where something else reads the logits too.
    """
    graph = model.graph
    makers = _makers(model)
    if not graph.outputs:
        return None
    softmax = makers.get(_walk_back(makers, graph.outputs[0])[-1])
    if softmax is None or softmax.name != "SOFTMAX" or not softmax.inputs:
        return None
    logits = _walk_back(makers, softmax.inputs[0])
    layer = makers.get(logits[-1])
    if layer is None or len(layer.inputs) < 2 or not _is_linear(model, layer):
        return None
    if any(_readers(model, tensor) != 1 or tensor in graph.outputs for tensor in logits):
        return None
    parameters = [_stored(model, makers, tensor) for tensor in layer.inputs[1:]]
    found = tuple(tensor for tensor in parameters if tensor is not None)
    if len(found) < len(parameters):
        return None
    return LastLayer(layer, found, tuple(graph.tensors[tensor] for tensor in logits))


def takes_temperature(flatbuffer: bytes) -> bool:
    """Return whether a temperature can be built into the model; raises ConversionError if it is damaged."""
    return find_last_layer(EditableModel(flatbuffer)) is not None


def output_step(flatbuffer: bytes) -> float:
    """Return the distance between neighbouring probabilities that a model can give; 0 for float ones.

    A float output may have been 8-bit just before. Raises ConversionError for an output that is neither.
    """
    model = EditableModel(flatbuffer)
    outputs = model.graph.outputs
    maker = _makers(model).get(outputs[0]) if outputs else None
    if maker is not None and maker.name == "DEQUANTIZE":
        outputs = maker.inputs
    if not outputs:
        raise ConversionError("The model is damaged: it has no output")
    tensor = model.graph.tensors[outputs[0]]
    return 0.0 if tensor.dtype in _FLOATS else float(_scales(model, tensor)[0])


def with_temperature(flatbuffer: bytes, temperature: float) -> bytes:
    """Return the model with its logits divided by `temperature`; for 1 the same bytes.

    Raises ConversionError where `takes_temperature` is False.
    """
    if temperature == 1:
        return flatbuffer
    model = EditableModel(flatbuffer)
    layer = find_last_layer(model)
    if layer is None:
        raise ConversionError(f"A temperature of {temperature} cannot be built into the model: {TAKES_NONE}")
    for tensor in (*layer.parameters, *layer.logits):
        _divide(model, tensor, temperature)
    return model.to_bytes()


def _makers(model: EditableModel) -> dict[int, Operator]:
    """Return the operator that computes each tensor."""
    return {tensor: operator for operator in model.graph.operators for tensor in operator.outputs}


def _readers(model: EditableModel, tensor: int) -> int:
    return sum(tensor in operator.inputs for operator in model.graph.operators)


def _walk_back(makers: dict[int, Operator], tensor: int) -> list[int]:
    """Return a tensor and those before it, back to the first one that had its values."""
    path = [tensor]
    while (maker := makers.get(path[-1])) is not None and maker.name in _TRANSPARENT and maker.inputs:
        path.append(maker.inputs[0])
        if len(path) > len(makers) + 1:  # A damaged graph may go round in circles.
            break
    return path


def _is_linear(model: EditableModel, layer: Operator) -> bool:
    """Return whether a layer is a dense one or a convolution without an activation."""
    field = _FUSED_ACTIVATION.get(layer.name)
    return field is not None and model.option(layer, field, INT8) == 0


def _stored(model: EditableModel, makers: dict[int, Operator], number: int) -> Tensor | None:
    """Return the tensor that holds a parameter's values in the file; None for one that is computed."""
    maker = makers.get(number)
    if maker is not None:
        if maker.name != "DEQUANTIZE" or not maker.inputs:
            return None
        number = maker.inputs[0]
    tensor = model.graph.tensors[number]
    return tensor if model.is_constant(tensor) else None


def _divide(model: EditableModel, tensor: Tensor, temperature: float) -> None:
    """Divide the values that a tensor stands for: by its scales if it has some, else as they are stored."""
    if tensor.dtype in _FLOATS:
        if model.is_constant(tensor):
            values = model.constant(tensor)
            with np.errstate(invalid="ignore"):  # NaN stays NaN.
                model.set_constant(tensor, (values / temperature).astype(values.dtype))
        return
    model.set_scales(tensor, _scales(model, tensor) / np.float32(temperature))


def _scales(model: EditableModel, tensor: Tensor) -> NDArray[np.float32]:
    scales = model.scales(tensor)
    if not len(scales):
        raise ConversionError(f"The model is damaged: tensor {tensor.name!r} ({tensor.dtype}) has no scale")
    return scales
