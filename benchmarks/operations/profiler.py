"""LiteRT's own profiler, called through its C functions by ctypes, since no Python function reaches it.

The functions are declared in litert/c/*.h of google-ai-edge/LiteRT, 2.x; options are TOML texts there. A
function that is missing or returns another status than 0 means that this version has another interface, and
there are no times then. Another interface with the same names could crash: so a child process calls it. The
profiler sees inside XNNPACK.

The table that it prints is written by tensorflow/lite/profiling/profile_summary_formatter.cc, the same for
TensorFlow Lite, LiteRT and benchmark_model. Operators that XNNPACK runs have XNNPACK's names there
(src/operators and src/subgraph of google/XNNPACK).
"""

from __future__ import annotations

import ctypes
import itertools
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...edge.child_loop import answer_questions
from ...edge.children import ask
from ...edge.tflite.graph import Operator

_START = f"from {__name__} import main; main()"
_TIMEOUT_S = 120.0
_CPU = 1  # kLiteRtHwAcceleratorCpu.
_WARM_UP = 10  # Inferences before the first round.
_RUNS = 5  # Inferences in a round, with the profiler and without.
_ROUNDS, _SECONDS = 60, 3.0  # At most.
_HANDLE = ctypes.c_void_p
_TYPE_BYTES = 256  # A LiteRtRankedTensorType takes 72; it is passed on as it came.
_TITLE = "Run Order"
_ROW = re.compile(
    r"^\s*(?P<name>\S.*?)\s+\d+\.\d+\s+\d+\.\d+\s+(?P<ms>\d+\.\d+)\s+(?P<share>\d+\.\d+)%\s+\d+\.\d+%\s"
)
_DELEGATED = "Delegate/"
_DEPTHWISE = "DWConv"


class ProfilerError(Exception):
    """The library has another interface, refuses the model, or crashed."""


@dataclass(frozen=True)
class Event:
    """An operator as the profiler calls it, its ms in one inference, and whether a delegate ran it."""

    name: str
    ms: float
    delegated: bool


@dataclass(frozen=True)
class Profile:
    """The operators in the order in which they ran, and ms of an inference with the profiler and without."""

    events: list[Event]
    profiled_ms: float
    plain_ms: float


def profile(library: Path, model: Path, threads: int) -> Profile:
    """Profile a model in a child process, which takes some seconds; raises ProfilerError."""
    question = {"library": str(library), "model": str(model.resolve()), "threads": threads}
    reply = ask(_START, question=question, timeout=_TIMEOUT_S)
    if reply.answer is None:
        raise ProfilerError(f"it {reply.reason}")
    if "error" in reply.answer:
        raise ProfilerError(reply.answer["error"])
    events = median_events([parse_summary(text) for text in reply.answer["summaries"]])
    return Profile(events, reply.answer["profiled_ms"], reply.answer["plain_ms"])


def find_library(package: Path) -> Path | None:
    """Return LiteRT's shared library inside its package's folder, None where there is none."""
    names = ("libLiteRt.so", "libLiteRt.dylib", "libLiteRt.dll", "LiteRt.dll")
    return next((package / name for name in names if (package / name).is_file()), None)


def parse_summary(text: str) -> list[Event]:
    """Return the operators in the order in which they ran; raises ProfilerError when there is no table.

    Times are printed in whole microseconds and shares in 1/1000 %, so that times are computed from shares.
    """
    _, found, rest = text.partition(_TITLE)
    rows = []
    for line in rest.splitlines()[2:] if found else ():
        match = _ROW.match(line)
        if match is None:
            break
        rows.append((match["name"], float(match["ms"]), float(match["share"]) / 100))
    if not rows:
        raise ProfilerError("the profiler's output holds no table of operators")
    whole = sum(ms for _, ms, _ in rows)
    return [Event(n.removeprefix(_DELEGATED), whole * s, n.startswith(_DELEGATED)) for n, _, s in rows]


def median_events(summaries: Sequence[Sequence[Event]]) -> list[Event]:
    """Return each operator with its median time over several summaries of the same model.

    Raises ProfilerError where they list different numbers of operators.
    """
    if len(set(map(len, summaries))) > 1:
        raise ProfilerError("its tables differ in their numbers of operators")
    return [
        Event(same[0].name, statistics.median(event.ms for event in same), same[0].delegated)
        for same in zip(*summaries, strict=True)
    ]


def match_events(events: Sequence[Event], operators: Sequence[Operator]) -> dict[int, int]:
    """Return, by the position of an event, the position of its operator; unknown ones are left out.

    Both are in the order of running: the longest common sequence of pairs that fit by name is taken. Where
    one event and one operator are left between two pairs, they are a pair too.
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


# How XNNPACK's names for an operator begin.
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


def _can_be(event: Event, operator: Operator) -> bool:
    if not event.delegated:
        return event.name == operator.name
    names = _XNNPACK.get(operator.name, ())
    depthwise = operator.name == "DEPTHWISE_CONV_2D"
    return event.name.startswith(names) and (depthwise == (_DEPTHWISE in event.name)) if names else False


def main() -> None:
    """Serve `profile` in the child process."""
    answer_questions(_answer)


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    try:
        return _run(_Library(Path(question["library"])), Path(question["model"]), question["threads"])
    except (ProfilerError, OSError) as error:
        return {"error": str(error)}


def _run(library: _Library, model: Path, threads: int) -> dict[str, Any]:
    environment = library.make("LiteRtCreateEnvironment", ctypes.c_int(0), None)
    loaded = library.make("LiteRtCreateModelFromFile", environment, str(model).encode())
    compiled = library.make("LiteRtCreateCompiledModel", environment, loaded, library.options(threads))
    profiler = library.make("LiteRtCompiledModelGetProfiler", compiled)
    if not profiler.value:
        raise ProfilerError("it made no profiler")
    graph = library.make("LiteRtGetModelSubgraph", loaded, 0)
    inputs, outputs = (library.buffers(side, environment, graph, compiled) for side in ("Input", "Output"))

    def run(count: int) -> float:
        started = time.perf_counter()
        for _ in range(count):
            library.call("LiteRtRunCompiledModel", compiled, 0, len(inputs), inputs, len(outputs), outputs)
        return (time.perf_counter() - started) / count * 1000

    run(_WARM_UP)
    plain: list[float] = []
    profiled: list[float] = []
    summaries: list[str] = []
    end = time.monotonic() + _SECONDS
    while len(summaries) < 3 or (len(summaries) < _ROUNDS and time.monotonic() < end):
        plain.append(run(_RUNS))
        library.call("LiteRtStartProfiler", profiler)
        profiled.append(run(_RUNS))
        library.call("LiteRtStopProfiler", profiler)
        text = library.make("LiteRtGetProfileSummary", profiler, compiled)
        summaries.append(ctypes.string_at(text.value or 0).decode(errors="replace"))
    return {
        "plain_ms": statistics.median(plain),
        "profiled_ms": statistics.median(profiled),
        "summaries": summaries,
    }


class _Library:
    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._kept: list[Any] = []  # The library holds pointers to these.

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function that returns a status; integers are passed as size_t."""
        function = getattr(self._library, name, None)
        if function is None:
            raise ProfilerError(f"it has no function {name}")
        status = function(*(ctypes.c_size_t(a) if type(a) is int else a for a in arguments))
        if status:
            raise ProfilerError(f"{name} gave status {status}")

    def make(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        """Call a function that returns an object through its last argument."""
        made = _HANDLE()
        self.call(name, *arguments, ctypes.byref(made))
        return made

    def options(self, threads: int) -> ctypes.c_void_p:
        """Return options for the processor, with profiling."""
        options = self.make("LiteRtCreateOptions")
        self.call("LiteRtSetOptionsHardwareAccelerators", options, ctypes.c_int(_CPU))
        texts = {
            "runtime_options_string": "enable_profiling = true\n",
            "xnnpack": f"num_threads = {threads}\n",
        }
        for kind, text in texts.items():
            payload = ctypes.create_string_buffer(text.encode())
            release = ctypes.CFUNCTYPE(None, _HANDLE)(lambda _: None)
            self._kept += [payload, release]
            opaque = self.make(
                "LiteRtCreateOpaqueOptions", kind.encode(), ctypes.cast(payload, _HANDLE), release
            )
            self.call("LiteRtAddOpaqueOptions", options, opaque)
        return options

    def buffers(self, side: str, environment: Any, graph: Any, compiled: Any) -> Any:
        """Return tensor buffers for all inputs, or outputs, as an array of handles."""
        count = ctypes.c_size_t()
        self.call(f"LiteRtGetNumSubgraph{side}s", graph, ctypes.byref(count))
        made = (_HANDLE * count.value)()
        for index in range(count.value):
            tensor = self.make(f"LiteRtGetSubgraph{side}", graph, index)
            kind = ctypes.create_string_buffer(_TYPE_BYTES)
            self.call("LiteRtGetRankedTensorType", tensor, kind)
            needs = self.make(f"LiteRtGetCompiledModel{side}BufferRequirements", compiled, 0, index)
            buffer = self.make("LiteRtCreateManagedTensorBufferFromRequirements", environment, kind, needs)
            made[index] = buffer.value
        return made
