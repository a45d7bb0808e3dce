"""Adds the parts of the contract that a float .tflite lacks: scaling of pixels in front, softmax behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ...edge.modelfile import Normalization

# Remarks on outputs that softmax did not compute.
SOFTMAX_ADDED = "its outputs are logits: softmax was added"
LOG_AND_SOFTMAX_ADDED = "it gives probabilities by other means than softmax, which was added behind their log"
_FLOAT32 = schema.TensorType.FLOAT32


def add_scaling(model: Any, normalization: Normalization) -> None:
    """Make an unpacked model take pixels 0..255, and scale them before its first operation."""
    mean, std = (np.asarray(values, np.float32) for values in (normalization.mean, normalization.std))
    steps: list[tuple[str, Any, Any]] = []
    if (std != 1).any():
        steps.append(("MUL", schema.MulOptionsT, 1 / std))
    if mean.any():
        steps.append(("ADD", schema.AddOptionsT, -mean / std))
    graph = model.subgraphs[0]
    inner = int(graph.inputs[0])
    shape = [int(side) for side in graph.tensors[inner].shape]
    current = outer = _add_tensor(model, "image", shape) if steps else inner
    operators = []
    for number, (operation, options, values) in enumerate(steps):
        last = number == len(steps) - 1
        target = inner if last else _add_tensor(model, f"scaled_{number}", shape)
        constant = _add_constant(model, f"scaling_{number}", values)
        operators.append(_operator(model, operation, options(), [current, constant], target))
        current = target
    graph.operators = [*operators, *graph.operators]
    graph.inputs = [outer]


def add_log(model: Any) -> None:
    """Make an unpacked model whose output is probabilities give logits: the log of each and 1e-7."""
    graph = model.subgraphs[0]
    output = int(graph.outputs[0])
    shape = [int(side) for side in graph.tensors[output].shape]
    least = _add_constant(model, "least", np.array([1e-7], np.float32))
    positive, result = (_add_tensor(model, name, shape) for name in ("positive", "logits"))
    graph.operators.append(_operator(model, "ADD", schema.AddOptionsT(), [output, least], positive))
    graph.operators.append(_operator(model, "LOG", None, [positive], result))
    graph.outputs = [result]


def add_softmax(model: Any) -> None:
    """Make an unpacked model whose output is logits give probabilities."""
    graph = model.subgraphs[0]
    logits = int(graph.outputs[0])
    shape = [int(side) for side in graph.tensors[logits].shape]
    result = _add_tensor(model, "probabilities", shape)
    graph.operators.append(_operator(model, "SOFTMAX", schema.SoftmaxOptionsT(beta=1.0), [logits], result))
    graph.outputs = [result]


def _add_tensor(model: Any, name: str, shape: Sequence[int], buffer: int = 0) -> int:
    tensors = model.subgraphs[0].tensors
    tensors.append(schema.TensorT(shape=list(shape), type=_FLOAT32, buffer=buffer, name=name.encode()))
    return len(tensors) - 1


def _add_constant(model: Any, name: str, values: Any) -> int:
    model.buffers.append(schema.BufferT(data=np.frombuffer(values.astype("<f4").tobytes(), np.uint8)))
    return _add_tensor(model, name, values.shape, len(model.buffers) - 1)


def _operator(model: Any, operation: str, options: Any, inputs: Sequence[int], output: int) -> Any:
    number = getattr(schema.BuiltinOperator, operation)
    model.operatorCodes.append(
        schema.OperatorCodeT(builtinCode=number, deprecatedBuiltinCode=number, version=1)
    )
    operator = schema.OperatorT(
        opcodeIndex=len(model.operatorCodes) - 1, inputs=list(inputs), outputs=[output]
    )
    if options is not None:
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        operator.builtinOptions = options
    return operator
