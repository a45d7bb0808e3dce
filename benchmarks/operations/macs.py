"""The number of multiply-accumulates of an operator, from the shapes of its tensors alone.

The rule is that of Howard et al., "MobileNets" (arXiv:1704.04861), section 3: every output value costs one
for each weight that it is summed over, with positions in the padding counted too. Shapes of weights are those
of TFLite's reference kernels (tensorflow/lite/kernels): [out, height, width, in] for CONV_2D and
TRANSPOSE_CONV, [1, height, width, out] for DEPTHWISE_CONV_2D, [out, in] for FULLY_CONNECTED,
[depth, height, width, in, out] for CONV_3D.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ...edge.tflite.graph import Operator, Subgraph

Shape = tuple[int, ...]
# Operations that multiply too, but whose count needs more than shapes, or their inner graphs.
_UNCOUNTED = (
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_RNN",
    "CALL",
    "IF",
    "LSTM",
    "RNN",
    "STABLEHLO_COMPOSITE",
    "STABLEHLO_CONVOLUTION",
    "STABLEHLO_DOT_GENERAL",
    "SVDF",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
    "WHILE",
)


def count_macs(operator: Operator, graph: Subgraph) -> int | None:
    """Return the multiply-accumulates of one run: 0 where there are none, None where they are unknown.

    Sides that are open until loading count with the value in the file, which is 1.
    """
    if operator.custom or operator.name in _UNCOUNTED:
        return None
    formula = _FORMULAS.get(operator.name)
    if formula is None:
        return 0
    inputs = [graph.tensors[i].shape for i in operator.inputs]
    outputs = [graph.tensors[i].shape for i in operator.outputs]
    try:
        return formula(inputs, outputs[0], operator.transposed)
    except (IndexError, ValueError):  # Fewer tensors or sides than the operation has.
        return None


def _convolution(inputs: list[Shape], output: Shape, _: bool) -> int:
    _out, height, width, channels = inputs[1]  # With groups, `channels` are those of one group.
    return math.prod(output) * height * width * channels


def _depthwise(inputs: list[Shape], output: Shape, _: bool) -> int:
    _one, height, width, _out = inputs[1]
    return math.prod(output) * height * width


def _transposed_convolution(inputs: list[Shape], output: Shape, _: bool) -> int:
    """Every input value goes into a window of the output, so here the inputs count."""
    out, height, width, _in = inputs[1]
    return math.prod(inputs[2]) * height * width * out


def _convolution_3d(inputs: list[Shape], output: Shape, _: bool) -> int:
    depth, height, width, channels, _out = inputs[1]
    return math.prod(output) * depth * height * width * channels


def _fully_connected(inputs: list[Shape], output: Shape, _: bool) -> int:
    _out, width = inputs[1]
    return math.prod(output) * width


def _matrix_product(inputs: list[Shape], output: Shape, transposed: bool) -> int:
    return math.prod(output) * inputs[0][-2 if transposed else -1]


_FORMULAS: dict[str, Callable[[list[Shape], Shape, bool], int]] = {
    "BATCH_MATMUL": _matrix_product,
    "CONV_2D": _convolution,
    "CONV_3D": _convolution_3d,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": _transposed_convolution,
}
