"""Follows a model's graph back from an output to the operations that decide what its values mean.

The graph is one of `GraphOperation`, whatever format it comes from: `OutputGraph` builds it from a
.tflite, and the conversion from a TensorFlow function. Kinds are the names of TFLite's operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

from .flatbuffer import INT8, INT32, UINT32, FlatTable
from .meanings import OutputMeaning, Statement
from .tflite.schema import OPERATIONS, name_of


@dataclass(frozen=True)
class GraphOperation:
    """An operation that computes a tensor.

    Attributes:
        kind: its name in TFLite, such as "SOFTMAX".
        inputs: returns the operations that compute its inputs. Constants are none of them; a part of the
            model's own input is an operation of kind INPUT.
        key: equal for the same operation.
    """

    kind: str
    inputs: Callable[[], Sequence[GraphOperation]]
    key: object


INPUT, CUSTOM = "INPUT", "CUSTOM"
_DECIDING = {
    "SOFTMAX": OutputMeaning.PROBABILITIES,
    "LOGISTIC": OutputMeaning.SIGMOIDS,
    # Logarithms of probabilities: softmax gives these back.
    "LOG_SOFTMAX": OutputMeaning.LOGITS,
    "FULLY_CONNECTED": OutputMeaning.LOGITS,
    "BATCH_MATMUL": OutputMeaning.LOGITS,
    "CONV_2D": OutputMeaning.LOGITS,
    "CONV_3D": OutputMeaning.LOGITS,
    "DEPTHWISE_CONV_2D": OutputMeaning.LOGITS,
    "TRANSPOSE_CONV": OutputMeaning.LOGITS,
}
# The values stay, and all of them.
_SAME_VALUES = frozenset(
    {
        "CAST", "DEQUANTIZE", "EXPAND_DIMS", "FAKE_QUANT", "IDENTITY", "QUANTIZE", "RESHAPE", "REVERSE_V2",
        "SQUEEZE", "TRANSPOSE",
    }
)  # fmt: skip
# Their other inputs are shapes, axes and indices.
_FIRST_INPUT_COUNTS = _SAME_VALUES | {
    "GATHER", "GATHER_ND", "MEAN", "PAD", "PADV2", "REDUCE_MAX", "SLICE", "SPLIT_V", "STRIDED_SLICE", "SUM",
    "TILE", "UNPACK",
}  # fmt: skip
# What comes out of logits by these is still a weighted sum of features.
_LINEAR = frozenset(
    {
        "ADD", "ADD_N", "AVERAGE_POOL_2D", "CONCATENATION", "DIV", "GATHER", "GATHER_ND", "MEAN", "MUL",
        "NEG", "PACK", "PAD", "SLICE", "SPLIT", "SPLIT_V", "STRIDED_SLICE", "SUB", "SUM", "TILE",
        "UNPACK",
    }
)  # fmt: skip
# What comes out may still be what went in: values will tell.
_OTHER = frozenset(
    {
        "HARD_SWISH", "LEAKY_RELU", "MAX_POOL_2D", "MAXIMUM", "MINIMUM", "PADV2", "PRELU", "REDUCE_MAX",
        "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1",
    }
)  # fmt: skip
_MOST_OPERATIONS = 1000  # Behind those that decide; honest graphs have a few.
# An operation of TFLite may end in an activation: the field of its options that holds it, and its values.
_FUSED_FIELD = {
    "ADD": 0, "AVERAGE_POOL_2D": 5, "CONCATENATION": 1, "CONV_2D": 3, "CONV_3D": 4, "DEPTHWISE_CONV_2D": 4,
    "DIV": 0, "FULLY_CONNECTED": 0, "MAX_POOL_2D": 5, "MUL": 0, "SUB": 0, "TRANSPOSE_CONV": 3,
}  # fmt: skip
_FUSED = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")


def state_meaning(last: GraphOperation) -> Statement:
    """Return what the graph says about the values that the operation `last` computes."""
    found = _follow(last, {}, [_MOST_OPERATIONS])
    if found is None:
        return Statement(None, False, f"its graph ends in {_last_that_changes(last).kind}")
    meaning, exact, decided_by = found
    where = f"its graph ends in {decided_by}"
    return Statement(meaning, exact, where if exact else f"{where}, and arithmetic behind it")


def _last_that_changes(operation: GraphOperation) -> GraphOperation:
    """Return the last operation that does more than pass values on."""
    for _ in range(_MOST_OPERATIONS):
        before = operation.inputs() if operation.kind in _SAME_VALUES else ()
        if not before:
            break
        operation = before[0]
    return operation


_Found = tuple[OutputMeaning, bool, str]  # The meaning, whether it is exact, and the kind that decides it.


def _follow(operation: GraphOperation, known: dict[object, _Found | None], left: list[int]) -> _Found | None:
    """Return what an operation's values mean; None where it cannot be told. `left` bounds the work."""
    if operation.key not in known:
        left[0] -= 1
        known[operation.key] = None  # Also the answer for a graph that leads back to itself.
        known[operation.key] = _meaning_of(operation, known, left) if left[0] >= 0 else None
    return known[operation.key]


def _meaning_of(
    operation: GraphOperation, known: dict[object, _Found | None], left: list[int]
) -> _Found | None:
    kind = operation.kind
    if kind in _DECIDING:
        return _DECIDING[kind], True, kind
    if kind not in _SAME_VALUES | _LINEAR | _OTHER | {"LOG"}:
        return None
    inputs = operation.inputs()
    before = [
        _follow(each, known, left)
        for each in inputs[: 1 if kind in _FIRST_INPUT_COUNTS else None]
        if _depends_on_picture(each, left)
    ]
    if not before:
        return None
    found = reduce(_both, before)
    if found is None or kind in _SAME_VALUES:
        return found
    meaning, exact, decided_by = found
    if kind == "LOG":
        logarithm = meaning is OutputMeaning.PROBABILITIES
        return (OutputMeaning.LOGITS, exact, f"LOG of {decided_by}") if logarithm else None
    return meaning, exact and kind in _LINEAR and meaning is OutputMeaning.LOGITS, decided_by


def _depends_on_picture(operation: GraphOperation, left: list[int]) -> bool:
    """Return whether a value is none that the weights alone give, such as 1 / sqrt(variance)."""
    waiting, seen = [operation], set()
    while waiting:
        each = waiting.pop()
        left[0] -= 1
        if each.kind == INPUT or each.kind in _DECIDING or left[0] < 0:
            return True
        if each.key not in seen:
            seen.add(each.key)
            waiting.extend(each.inputs())
    return operation.kind == CUSTOM


def _both(one: _Found | None, other: _Found | None) -> _Found | None:
    if one is None or other is None or one[0] is not other[0]:
        return None
    return one[0], one[1] and other[1], one[2]


class OutputGraph:
    """The first subgraph of a .tflite, read once for all its outputs; `outputs` is their number."""

    def __init__(self, model: FlatTable) -> None:
        """Take the root table; this and the other methods raise one of flatbuffer.MALFORMED."""
        self._codes = [
            max(code.scalar(0, INT8), code.scalar(3, INT32))  # The old field holds what fits into a byte.
            for code in model.tables(1)
        ]
        graph = model.tables(2)[0]
        self._given = {int(tensor) for tensor in graph.numbers(1, "<i4")}
        self._results = [int(tensor) for tensor in graph.numbers(2, "<i4")]
        self._makers = {int(made): maker for maker in graph.tables(3) for made in maker.numbers(2, "<i4")}
        self._tensors = graph.tables(0)
        self.outputs = len(self._results)

    def tensor(self, output: int) -> FlatTable:
        """Return the table Tensor of output number `output`."""
        return self._tensors[self._results[output]]

    def last_operation(self, output: int) -> GraphOperation:
        """Return the operation that computes output number `output`."""
        return self._operation(self._results[output]) or GraphOperation("no operation", tuple, None)

    def _operation(self, tensor: int) -> GraphOperation | None:
        """Return what computes a tensor; None for a constant."""
        if tensor in self._given:
            return GraphOperation(INPUT, tuple, tensor)
        if tensor not in self._makers:
            return None
        maker = self._makers[tensor]
        kind = name_of(OPERATIONS, self._codes[maker.scalar(0, UINT32)], "operation")
        made = GraphOperation(kind, lambda: self._inputs(maker), maker.position)
        options = maker.table(4) if kind in _FUSED_FIELD else None
        fused = 0 if options is None else options.scalar(_FUSED_FIELD[kind], INT8)
        if fused == 0:
            return made
        activation = name_of(_FUSED, fused, "activation")
        return GraphOperation(activation, lambda: [made], (maker.position, activation))

    def _inputs(self, maker: FlatTable) -> list[GraphOperation]:
        found = (self._operation(int(tensor)) for tensor in maker.numbers(1, "<i4"))
        return [operation for operation in found if operation is not None]
