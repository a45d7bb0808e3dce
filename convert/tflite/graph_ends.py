"""Adds what a float .tflite lacks of the contract: RGB pixels in rows in front, softmax behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ...edge.modelfile import Normalization
from ...edge.tensors import Layout

# Remarks on what was added: in front, and behind outputs that softmax did not compute.
EXCHANGE_ADDED = "it was trained on BGR: the exchange of red and blue was added"
SOFTMAX_ADDED = "its outputs are logits: softmax was added"
TWO_CLASSES_ADDED = "its only output is taken for the second label: two outputs with softmax were made of it"
GREY_ADDED = "it takes grey pictures: the conversion from RGB was added"
LAYOUT_ADDED = "it takes another layout than rows of pixels: the change was added"
# Weights of red, green and blue in brightness: ITU-R BT.601, as Pillow's convert("L") has them.
LUMA = (0.299, 0.587, 0.114)
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
        operators.append(_operator(model, operation, options(), [current, constant], [target]))
        current = target
    graph.operators = [*operators, *graph.operators]
    graph.inputs = [outer]


def add_exchange(model: Any) -> None:
    """Make an unpacked model of BGR pictures, [1, height, width, 3], take RGB.

    Split and concatenation run in every runtime and delegate, in 8 bits too, and change no value.
    """
    graph = model.subgraphs[0]
    inner = int(graph.inputs[0])
    shape = [int(side) for side in graph.tensors[inner].shape]
    outer = _add_tensor(model, "rgb", shape)
    channels = [_add_tensor(model, name, [*shape[:3], 1]) for name in ("red", "green", "blue")]
    axis = _add_constant(model, "channel_axis", np.array(3, np.int32), schema.TensorType.INT32)
    split = schema.SplitOptionsT(numSplits=3)
    joined = schema.ConcatenationOptionsT(axis=3)
    graph.operators = [
        _operator(model, "SPLIT", split, [axis, outer], channels),
        _operator(model, "CONCATENATION", joined, channels[::-1], [inner]),
        *graph.operators,
    ]
    graph.inputs = [outer]


def add_grey(model: Any) -> None:
    """Make an unpacked model of grey pictures, [1, height, width, 1], take RGB."""
    graph = model.subgraphs[0]
    inner = int(graph.inputs[0])
    height, width = (int(side) for side in graph.tensors[inner].shape[1:3])
    outer = _add_tensor(model, "rgb", [1, height, width, 3])
    luma = _add_constant(model, "luma", np.array(LUMA, np.float32).reshape(1, 1, 1, 3))
    bias = _add_constant(model, "no_bias", np.zeros(1, np.float32))
    options = schema.Conv2DOptionsT(padding=schema.Padding.VALID, strideW=1, strideH=1)
    convolution = _operator(model, "CONV_2D", options, [outer, luma, bias], [inner])
    graph.operators = [convolution, *graph.operators]
    graph.inputs = [outer]


def add_rows(model: Any, layout: Layout) -> None:
    """Make an unpacked model take [1, height, width, channels] in place of its own layout."""
    graph = model.subgraphs[0]
    inner = int(graph.inputs[0])
    outer = _add_tensor(model, "rows", [1, layout.height, layout.width, layout.channels])
    if layout.channels_first:
        order = _add_constant(model, "order", np.array([0, 3, 1, 2]), schema.TensorType.INT32)
        change = _operator(model, "TRANSPOSE", schema.TransposeOptionsT(), [outer, order], [inner])
    else:
        shape = [int(side) for side in graph.tensors[inner].shape]
        change = _reshape(model, outer, inner, shape)
    graph.operators = [change, *graph.operators]
    graph.inputs = [outer]


def keep_output(model: Any, number: int) -> None:
    """Make an unpacked model give one of its outputs only, and compute nothing else."""
    graph = model.subgraphs[0]
    graph.outputs = [graph.outputs[number]]
    needed = {int(graph.outputs[0])}
    operators = []
    for operator in reversed(graph.operators):
        if needed & set(map(int, operator.outputs)):
            operators.append(operator)
            needed |= set(map(int, operator.inputs))
    graph.operators = operators[::-1]


def add_two_classes(model: Any, logit: bool) -> None:
    """Make an unpacked model whose output is one logit, or one probability, give those of two classes.

    The probability, or the logit, is that of the second class; the first class's logit is 0.
    """
    graph = model.subgraphs[0]
    one = _add_tensor(model, "one", [1, 1])
    graph.operators.append(_reshape(model, int(graph.outputs[0]), one, [1, 1]))
    two = _add_tensor(model, "two", [1, 2])
    if logit:
        weights = _add_constant(model, "of_two", np.array([[0.0], [1.0]], np.float32))
        bias = _add_constant(model, "of_two_bias", np.zeros(2, np.float32))
        options: Any = schema.FullyConnectedOptionsT()
        graph.operators.append(_operator(model, "FULLY_CONNECTED", options, [one, weights, bias], [two]))
    else:
        whole = _add_constant(model, "whole", np.array([[1.0]], np.float32))
        first = _add_tensor(model, "first", [1, 1])
        graph.operators.append(_operator(model, "SUB", schema.SubOptionsT(), [whole, one], [first]))
        options = schema.ConcatenationOptionsT(axis=1)
        graph.operators.append(_operator(model, "CONCATENATION", options, [first, one], [two]))
    graph.outputs = [two]


def drop_last_sigmoid(model: Any) -> bool:
    """Make an unpacked model that ends in a sigmoid give its logit; return whether it did."""
    graph = model.subgraphs[0]
    last = next((each for each in graph.operators if int(graph.outputs[0]) in map(int, each.outputs)), None)
    if last is None or model.operatorCodes[last.opcodeIndex].builtinCode != schema.BuiltinOperator.LOGISTIC:
        return False
    graph.operators = [each for each in graph.operators if each is not last]
    graph.outputs = [int(last.inputs[0])]
    return True


def _reshape(model: Any, before: int, after: int, shape: Sequence[int]) -> Any:
    sides = _add_constant(model, "shape", np.array(shape), schema.TensorType.INT32)
    return _operator(model, "RESHAPE", schema.ReshapeOptionsT(newShape=list(shape)), [before, sides], [after])


def add_log(model: Any) -> None:
    """Make an unpacked model whose output is probabilities give logits: the log of each and 1e-7."""
    graph = model.subgraphs[0]
    output = int(graph.outputs[0])
    shape = [int(side) for side in graph.tensors[output].shape]
    least = _add_constant(model, "least", np.array([1e-7], np.float32))
    positive, result = (_add_tensor(model, name, shape) for name in ("positive", "logits"))
    graph.operators.append(_operator(model, "ADD", schema.AddOptionsT(), [output, least], [positive]))
    graph.operators.append(_operator(model, "LOG", None, [positive], [result]))
    graph.outputs = [result]


def add_softmax(model: Any) -> None:
    """Make an unpacked model whose output is logits give probabilities."""
    graph = model.subgraphs[0]
    logits = int(graph.outputs[0])
    shape = [int(side) for side in graph.tensors[logits].shape]
    result = _add_tensor(model, "probabilities", shape)
    graph.operators.append(_operator(model, "SOFTMAX", schema.SoftmaxOptionsT(beta=1.0), [logits], [result]))
    graph.outputs = [result]


def _add_tensor(model: Any, name: str, shape: Sequence[int], buffer: int = 0, kind: int = _FLOAT32) -> int:
    tensors = model.subgraphs[0].tensors
    tensors.append(schema.TensorT(shape=list(shape), type=kind, buffer=buffer, name=name.encode()))
    return len(tensors) - 1


def _add_constant(model: Any, name: str, values: Any, kind: int = _FLOAT32) -> int:
    stored = values.astype("<f4" if kind == _FLOAT32 else "<i4")
    model.buffers.append(schema.BufferT(data=np.frombuffer(stored.tobytes(), np.uint8)))
    return _add_tensor(model, name, values.shape, len(model.buffers) - 1, kind)


def _operator(model: Any, operation: str, options: Any, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
    number = getattr(schema.BuiltinOperator, operation)
    model.operatorCodes.append(
        schema.OperatorCodeT(builtinCode=number, deprecatedBuiltinCode=number, version=1)
    )
    operator = schema.OperatorT(
        opcodeIndex=len(model.operatorCodes) - 1, inputs=list(inputs), outputs=list(outputs)
    )
    if options is not None:
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        operator.builtinOptions = options
    return operator
