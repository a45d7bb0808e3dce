"""Reads the table that TensorFlow Lite's and LiteRT's profilers print, and finds the graph's operators in it.

Written by tensorflow/lite/profiling/profile_summary_formatter.cc, the same for both and for benchmark_model.
Operators that XNNPACK runs have XNNPACK's names there (src/operators and src/subgraph of google/XNNPACK).
"""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .graph import Operator

_TITLE = "Run Order"
_ROW = re.compile(
    r"^\s*(?P<name>\S.*?)\s+\d+\.\d+\s+\d+\.\d+\s+(?P<ms>\d+\.\d+)\s+(?P<share>\d+\.\d+)%\s+\d+\.\d+%\s"
)
_DELEGATED = "Delegate/"
# What XNNPACK makes of an operator, as its names begin; first those that are the operator's in any case.
_XNNPACK = {
    "ABS": ("Abs",),
    "ADD": ("Add",),
    "AVERAGE_POOL_2D": ("Average Pooling", "Global Average Pooling", "Mean"),
    "BATCH_MATMUL": ("Batch Matrix Multiply", "Fully Connected", "Dynamic Fully Connected"),
    "CONCATENATION": ("Concatenate", "Copy"),
    "CONV_2D": ("Convolution", "Fully Connected"),
    "DEPTHWISE_CONV_2D": ("Convolution", "DWConv"),
    "DEQUANTIZE": ("Convert",),
    "DIV": ("Divide",),
    "FULLY_CONNECTED": ("Fully Connected", "Dynamic Fully Connected"),
    "HARD_SWISH": ("HardSwish", "Hard Swish"),
    "LEAKY_RELU": ("Leaky ReLU",),
    "LOGISTIC": ("Sigmoid",),
    "MAX_POOL_2D": ("Max Pooling",),
    "MAXIMUM": ("Maximum",),
    "MEAN": ("Mean", "Global Average Pooling", "Global Sum Pooling"),
    "MINIMUM": ("Minimum",),
    "MUL": ("Multiply",),
    "PAD": ("Constant Pad",),
    "PRELU": ("PReLU",),
    "QUANTIZE": ("Convert",),
    "RELU": ("Clamp",),
    "RELU6": ("Clamp",),
    "RESHAPE": ("Static Reshape", "Copy", "Reshape"),
    "RESIZE_BILINEAR": ("Resize Bilinear",),
    "RSQRT": ("Reciprocal Square Root",),
    "SOFTMAX": ("Softmax", "SoftMax"),
    "SQUARED_DIFFERENCE": ("Squared Difference",),
    "SUB": ("Subtract",),
    "SUM": ("Sum",),
    "TANH": ("Tanh",),
    "TRANSPOSE": ("Transpose",),
    "TRANSPOSE_CONV": ("Deconvolution",),
}
_DEPTHWISE = "DWConv"


@dataclass(frozen=True)
class Event:
    """One line: an operator as the profiler calls it, ms of one run, and whether a delegate ran it."""

    name: str
    ms: float
    delegated: bool


def parse_summary(text: str) -> list[Event]:
    """Return the operators in the order in which they ran; raises ValueError when there is no such table.

    Times are printed in whole microseconds and shares in 1/1000 %: short ones are taken from their shares.
    """
    _, found, rest = text.partition(_TITLE)
    rows = []
    for line in rest.splitlines()[2:] if found else ():
        match = _ROW.match(line)
        if match is None:
            break
        rows.append((match["name"], float(match["ms"]), float(match["share"]) / 100))
    if not rows:
        raise ValueError("the profiler's output holds no table of operators")
    whole = sum(ms for _, ms, _ in rows)
    return [Event(n.removeprefix(_DELEGATED), whole * s, n.startswith(_DELEGATED)) for n, _, s in rows]


def median_events(summaries: Sequence[Sequence[Event]]) -> list[Event]:
    """Return the median time of each operator over several summaries of the same model."""
    return [
        Event(same[0].name, statistics.median(event.ms for event in same), same[0].delegated)
        for same in zip(*summaries, strict=True)
    ]


def match_events(events: Sequence[Event], operators: Sequence[Operator]) -> dict[int, int]:
    """Return which operator (by place) each event (by place) is, as far as that can be told.

    Both are in the order of running, so the longest common sequence of events that can be that operator is
    sought; where one of each is then left between two that are sure, they are a pair too.
    """
    sure = _common_sequence(events, operators)
    borders = [(-1, -1), *sorted(sure.items()), (len(events), len(operators))]
    for (event, operator), (next_event, next_operator) in itertools.pairwise(borders):
        if next_event - event == 2 and next_operator - operator == 2:
            sure[event + 1] = operator + 1
    return sure


def _common_sequence(events: Sequence[Event], operators: Sequence[Operator]) -> dict[int, int]:
    rows, columns = len(events), len(operators)
    longest = [[0] * (columns + 1) for _ in range(rows + 1)]
    for i in reversed(range(rows)):
        for j in reversed(range(columns)):
            skipped = max(longest[i + 1][j], longest[i][j + 1])
            taken = longest[i + 1][j + 1] + 1 if _can_be(events[i], operators[j]) else 0
            longest[i][j] = max(skipped, taken)
    pairs: dict[int, int] = {}
    i = j = 0
    while i < rows and j < columns:
        if _can_be(events[i], operators[j]) and longest[i][j] == longest[i + 1][j + 1] + 1:
            pairs[i] = j
            i, j = i + 1, j + 1
        elif longest[i + 1][j] >= longest[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs


def _can_be(event: Event, operator: Operator) -> bool:
    if not event.delegated:
        return event.name == operator.name
    names = _XNNPACK.get(operator.name, ())
    depthwise = operator.name == "DEPTHWISE_CONV_2D"
    return event.name.startswith(names) and (depthwise == (_DEPTHWISE in event.name)) if names else False
