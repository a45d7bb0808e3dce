"""The best rate of plain convolutions in a runtime: what this machine can reach, without a compiler.

The models are written with the flatbuffers package alone, which every device has: a Raspberry Pi has no
TensorFlow. Tables and fields are those of tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...edge.child_loop import answer_questions
from ...edge.children import ask
from ...edge.modelfile import IDENTIFIER
from ...edge.runtime import Execution, open_interpreter
from ...edge.tflite.builder import Field, TableBuilder
from ...edge.tflite.schema import OPERATIONS, TENSOR_TYPES

_FLOAT32, _INT32, _INT8 = (TENSOR_TYPES.index(name) for name in ("FLOAT32", "INT32", "INT8"))
_CONV_2D = OPERATIONS.index("CONV_2D")
_CONV_2D_OPTIONS = 1  # Of the union BuiltinOptions.
_CONV_2D_VERSION = 3  # The first with 8-bit weights.
_SCHEMA_VERSION = 3
LAYERS = 4


@dataclass(frozen=True)
class Convolution:
    """A layer with as many outputs as inputs: `side` pixels each way, a kernel of `kernel` by `kernel`."""

    side: int
    channels: int
    kernel: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one layer."""
        return (self.side * self.channels * self.kernel) ** 2

    def __str__(self) -> str:
        return f"{self.kernel}x{self.kernel} convolution, {self.side}x{self.side}, {self.channels} channels"


# Sizes as in networks for small devices, from many pixels to many channels.
SHAPES = (
    Convolution(56, 128, 1),
    Convolution(28, 256, 1),
    Convolution(14, 512, 1),
    Convolution(28, 64, 3),
    Convolution(14, 128, 3),
)


def model_macs(shape: Convolution, layers: int = LAYERS) -> int:
    """Return the multiply-accumulates of the model that `write_model` makes from a shape."""
    return layers * shape.macs


def write_model(shape: Convolution, dtype: str, layers: int = LAYERS) -> bytes:
    """Return a .tflite with `layers` of them, "float32", or "int8" with a scale for each channel.

    The layers share their weights in the file; the runtime gives each one its own packed copy.
    """
    return _Writer(shape, quantized=dtype == "int8").write(layers)


class _Writer:
    def __init__(self, shape: Convolution, quantized: bool) -> None:
        self.shape, self.quantized = shape, quantized
        self.builder = TableBuilder(1 << 20)
        self.buffers: list[NDArray[Any] | None] = [None]
        self.tensors: list[int] = []

    def write(self, layers: int) -> bytes:
        size, channels, kernel = self.shape.side, self.shape.channels, self.shape.kernel
        random = np.random.default_rng(0)
        tensor_type = _INT8 if self.quantized else _FLOAT32
        picture = (1, size, size, channels)
        last = self._tensor(picture, tensor_type, None, [0.05])
        operators = []
        weights = random.integers(-127, 128, (channels, kernel, kernel, channels)).astype(np.int8)
        stored = weights if self.quantized else (weights / 2**12).astype(np.float32)
        bias = np.zeros(channels, np.int32 if self.quantized else np.float32)
        constants = [
            self._tensor(weights.shape, tensor_type, stored, [0.001] * channels),
            self._tensor(bias.shape, _INT32 if self.quantized else _FLOAT32, bias, [0.00005] * channels),
        ]
        for _ in range(layers):
            inputs = [last, *constants]
            last = self._tensor(picture, tensor_type, None, [0.05])
            operators.append(self._operator(inputs, last))
        return self._model(last, operators)

    def _model(self, output: int, operators: Sequence[int]) -> bytes:
        add = self.builder
        graph: dict[int, Field] = {
            0: add.add_references(self.tensors),
            1: add.add_numbers([0], "<i4"),
            2: add.add_numbers([output], "<i4"),
            3: add.add_references(operators),
        }
        code: dict[int, Field] = {
            0: ("int8", _CONV_2D),
            2: ("int32", _CONV_2D_VERSION),
            3: ("int32", _CONV_2D),
        }
        model: dict[int, Field] = {
            0: ("uint32", _SCHEMA_VERSION),
            1: add.add_references([add.add_table(code)]),
            2: add.add_references([add.add_table(graph)]),
            4: add.add_references([self._buffer(data) for data in self.buffers]),
        }
        add.Finish(add.add_table(model), file_identifier=IDENTIFIER)
        return bytes(add.Output())

    def _tensor(
        self, shape: Sequence[int], tensor_type: int, data: NDArray[Any] | None, scales: Sequence[float]
    ) -> int:
        """Add a tensor and return its index; one scale is for the tensor, several are for its channels."""
        self.buffers.append(data)
        add = self.builder
        fields: dict[int, Field] = {
            0: add.add_numbers(shape, "<i4"),
            1: ("int8", tensor_type),
            2: ("uint32", len(self.buffers) - 1),
            3: add.CreateString(f"t{len(self.tensors)}"),
        }
        if self.quantized:
            zero_points = [0] * len(scales)
            fields[4] = add.add_table(
                {2: add.add_numbers(scales, "<f4"), 3: add.add_numbers(zero_points, "<i8")}
            )
        self.tensors.append(add.add_table(fields))
        return len(self.tensors) - 1

    def _operator(self, inputs: Sequence[int], output: int) -> int:
        add = self.builder
        options = add.add_table({1: ("int32", 1), 2: ("int32", 1)})  # Padding SAME, strides of 1.
        return add.add_table(
            {
                1: add.add_numbers(inputs, "<i4"),
                2: add.add_numbers([output], "<i4"),
                3: ("uint8", _CONV_2D_OPTIONS),
                4: options,
            }
        )

    def _buffer(self, data: NDArray[Any] | None) -> int:
        return self.builder.add_table({} if data is None else {0: self.builder.add_bytes(data.tobytes())})


_START = f"from {__name__} import main; main()"
_TIMEOUT_S = 120.0
_WARM_UP_S, _MEASURED_S = 0.05, 0.25  # For each shape in each round.
_ROUNDS, _MIN_RUNS = 2, 5


@dataclass(frozen=True)
class BestRate:
    """The best rate of several shapes in 10^9 multiply-accumulates a second; where None, `shape` says why."""

    gmacs_per_s: float | None
    shape: str


@cache
def best_rate(runtime: str, threads: int, dtype: str) -> BestRate:
    """Measure, once in this process, the rate of convolutions of a `dtype` ("float32" or "int8")."""
    question = {"runtime": runtime, "threads": threads, "dtype": dtype}
    reply = ask(_START, question=question, timeout=_TIMEOUT_S)
    if reply.answer is None:
        return BestRate(None, f"plain {dtype} convolutions could not be measured: the process {reply.reason}")
    return BestRate(reply.answer["rate"], reply.answer["shape"])


def main() -> None:
    """Serve `best_rate` in the child process."""
    answer_questions(lambda question: _measure(**question))


def _measure(runtime: str, threads: int, dtype: str) -> dict[str, Any]:
    execution = Execution(runtime=runtime, threads=threads)
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for number, shape in enumerate(SHAPES):
            path = Path(folder, f"{number}.tflite")  # Runtimes map their file as long as they live.
            path.write_bytes(write_model(shape, dtype))
            runs.append(open_interpreter(path, execution).interpreter.invoke)
        rates = [0.0] * len(SHAPES)
        for _ in range(_ROUNDS):
            for index, (shape, run) in enumerate(zip(SHAPES, runs, strict=True)):
                seconds = _median_seconds(run)
                rates[index] = max(rates[index], model_macs(shape) / seconds / 1e9)
    best = max(range(len(SHAPES)), key=rates.__getitem__)
    return {"rate": rates[best], "shape": str(SHAPES[best])}


def _median_seconds(run: Any) -> float:
    end = time.perf_counter() + _WARM_UP_S
    while time.perf_counter() < end:
        run()
    taken: list[float] = []
    end = time.perf_counter() + _MEASURED_S
    while len(taken) < _MIN_RUNS or time.perf_counter() < end:
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)
