"""Builds a temperature into a .tflite: the layer that gives the logits is divided by it.

Of a quantized layer only the scales change, and every stored number stays: the logits mean less, and
are the same integers. So a temperature costs no conversion and no calibration.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ...edge.errors import ConversionError
from .flatgraph import is_constant, operation_of, pack, unpack

TAKES_NONE = "it does not end in a fully connected layer or a convolution, and softmax"
# What may stand between the logits and softmax, or behind softmax, without changing values.
_TRANSPARENT = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "QUANTIZE", "DEQUANTIZE"}
_LINEAR = {"FULLY_CONNECTED", "CONV_2D"}
_FLOATS: dict[int, Any] = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.FLOAT16: np.float16}


def takes_temperature(flatbuffer: bytes) -> bool:
    """Return whether the graph ends in a fully connected layer or a convolution, and softmax."""
    return _find(unpack(flatbuffer)) is not None


def output_step(flatbuffer: bytes) -> float:
    """Return the distance between neighbouring probabilities that a model can give; 0 for float ones.

    A float output may have been 8-bit just before.
    """
    model = unpack(flatbuffer)
    graph = model.subgraphs[0]
    output = int(graph.outputs[0])
    maker = next((o for o in graph.operators if output in map(int, o.outputs)), None)
    if maker is not None and operation_of(model, maker) == "DEQUANTIZE":
        output = int(maker.inputs[0])
    tensor = graph.tensors[output]
    return 0.0 if tensor.type in _FLOATS else float(tensor.quantization.scale[0])


def with_temperature(flatbuffer: bytes, temperature: float) -> bytes:
    """Return the model with its logits divided by `temperature`; raises ConversionError where it can't.

    For 1 the same bytes are returned.
    """
    if temperature == 1:
        return flatbuffer
    model = unpack(flatbuffer)
    found = _find(model)
    if found is None:
        raise ConversionError(f"A temperature of {temperature} cannot be built into the model: {TAKES_NONE}")
    layer, logits = found
    for tensor in [*_parameters(model, layer), *logits]:
        _divide(model, tensor, temperature)
    return pack(model)


def _find(model: Any) -> tuple[Any, list[Any]] | None:
    """Return the operator that computes the logits, and the tensors from there to softmax."""
    graph = model.subgraphs[0]
    makers = {int(t): operator for operator in graph.operators for t in operator.outputs}
    readers: dict[int, int] = {}
    for operator in graph.operators:
        for tensor in set(map(int, operator.inputs)):
            readers[tensor] = readers.get(tensor, 0) + 1
    after = _walk_back(model, makers, int(graph.outputs[0]))
    softmax = makers.get(after[-1])
    if softmax is None or operation_of(model, softmax) != "SOFTMAX":
        return None
    chain = _walk_back(model, makers, int(softmax.inputs[0]))
    layer = makers.get(chain[-1])
    if layer is None or operation_of(model, layer) not in _LINEAR:
        return None
    if layer.builtinOptions is None or layer.builtinOptions.fusedActivationFunction or len(layer.inputs) < 2:
        return None
    if any(readers.get(tensor, 0) != 1 or tensor in graph.outputs for tensor in chain):
        return None  # Somebody else reads the logits too.
    if any(_constant_of(model, makers, int(t)) is None for t in layer.inputs[1:] if t >= 0):
        return None
    return layer, [graph.tensors[t] for t in chain]


def _walk_back(model: Any, makers: dict[int, Any], tensor: int) -> list[int]:
    """Return a tensor and those before it, back to what first had its values."""
    path = [tensor]
    while (maker := makers.get(path[-1])) is not None and operation_of(model, maker) in _TRANSPARENT:
        path.append(int(maker.inputs[0]))
        if len(path) > len(makers) + 1:  # A damaged graph may go round in circles.
            break
    return path


def _parameters(model: Any, layer: Any) -> Iterator[Any]:
    """Yield the tensors of a layer's weights and bias, also where float16 is expanded on loading."""
    makers = {int(t): operator for operator in model.subgraphs[0].operators for t in operator.outputs}
    for number in layer.inputs[1:]:
        if number >= 0:
            yield _constant_of(model, makers, int(number))


def _constant_of(model: Any, makers: dict[int, Any], number: int) -> Any | None:
    maker = makers.get(number)
    if maker is not None:
        if operation_of(model, maker) != "DEQUANTIZE":
            return None
        number = int(maker.inputs[0])
    return model.subgraphs[0].tensors[number] if is_constant(model, number) else None


def _divide(model: Any, tensor: Any, temperature: float) -> None:
    """Divide what a tensor stands for: its scale where it has one, else its values if they are stored."""
    dtype = _FLOATS.get(tensor.type)
    if dtype is None:
        tensor.quantization.scale = [scale / temperature for scale in tensor.quantization.scale]
        return
    buffer = model.buffers[tensor.buffer]
    if buffer.data is None or len(buffer.data) == 0:
        return
    values = np.frombuffer(np.asarray(buffer.data, np.uint8).tobytes(), dtype)
    divided = np.frombuffer((values / temperature).astype(dtype).tobytes(), np.uint8)
    if sum(other.buffer == tensor.buffer for other in model.subgraphs[0].tensors) == 1:
        buffer.data = divided
    else:  # Another tensor that shares the buffer keeps its values.
        model.buffers.append(schema.BufferT(data=divided))
        tensor.buffer = len(model.buffers) - 1
