"""The best rate of plain convolutions through a runtime: what this machine can do, told without a compiler.

The models are written with the flatbuffers package alone, which every device has: a Raspberry Pi has no
TensorFlow. Tables and fields are those of tensorflow/compiler/mlir/lite/schema/schema.fbs. The child runs
`main` with runtime, threads and type as its arguments, and prints one JSON object.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from ...edge.children import ask
from ...edge.runtime import Execution, open_interpreter

_FLOAT32, _INT32, _INT8 = 0, 2, 9  # enum TensorType.
_CONV_2D = 3  # enum BuiltinOperator.
_CONV_OPTIONS = 1  # Of the union BuiltinOptions.
LAYERS = 4
_ALIGNMENT = 16


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


# Of the sizes that networks for small devices have, from many pixels to many channels.
SHAPES = (
    Convolution(56, 128, 1),
    Convolution(28, 256, 1),
    Convolution(14, 512, 1),
    Convolution(28, 64, 3),
    Convolution(14, 128, 3),
)


def model_macs(shape: Convolution, layers: int = LAYERS) -> int:
    """Return the multiply-accumulates of the model that `write_model` makes of a shape."""
    return layers * shape.macs


def write_model(shape: Convolution, dtype: str, layers: int = LAYERS) -> bytes:
    """Return a .tflite of such layers in a row, of "float32", or of "int8" with a scale a channel.

    They share their weights in the file, and each gets its own from the runtime, which arranges them anew.
    """
    return _Writer(shape, quantized=dtype == "int8").write(layers)


class _Writer:
    def __init__(self, shape: Convolution, quantized: bool) -> None:
        self.shape, self.quantized = shape, quantized
        self.builder = flatbuffers.Builder(1 << 20)
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
        graph = self._table(
            (self._vector(self.tensors), self._numbers([0]), self._numbers([last]), self._vector(operators))
        )
        code = self._table((("int8", _CONV_2D), None, ("int32", 3), ("int32", _CONV_2D)))
        buffers = self._vector([self._buffer(data) for data in self.buffers])
        model = self._table((("uint32", 3), self._vector([code]), self._vector([graph]), None, buffers))
        self.builder.Finish(model, file_identifier=b"TFL3")
        return bytes(self.builder.Output())

    def _tensor(
        self, shape: Sequence[int], tensor_type: int, data: NDArray[Any] | None, scales: Sequence[float]
    ) -> int:
        """Add a tensor and return its index; one scale is of the whole tensor, several of each channel."""
        self.buffers.append(data)
        quantization = None
        if self.quantized:
            self.builder.StartVector(4, len(scales), 4)
            for scale in scales:
                self.builder.PrependFloat32(scale)
            found = self.builder.EndVector()
            self.builder.StartVector(8, len(scales), 8)
            for _ in scales:
                self.builder.PrependInt64(0)
            quantization = self._table((None, None, found, self.builder.EndVector()))
        name = self.builder.CreateString(f"t{len(self.tensors)}")
        fields = (
            self._numbers(shape),
            ("int8", tensor_type),
            ("uint32", len(self.buffers) - 1),
            name,
            quantization,
        )
        self.tensors.append(self._table(fields))
        return len(self.tensors) - 1

    def _operator(self, inputs: Sequence[int], output: int) -> int:
        options = self._table((None, ("int32", 1), ("int32", 1)))  # Padding SAME, strides of 1.
        fields = (None, self._numbers(inputs), self._numbers([output]), ("uint8", _CONV_OPTIONS), options)
        return self._table(fields)

    def _buffer(self, data: NDArray[Any] | None) -> int:
        if data is None:
            return self._table(())
        raw = data.tobytes()
        self.builder.StartVector(1, len(raw), _ALIGNMENT)
        self.builder.head = self.builder.Head() - len(raw)
        self.builder.Bytes[self.builder.Head() : self.builder.Head() + len(raw)] = raw
        return self._table((self.builder.EndVector(),))

    def _numbers(self, values: Sequence[int]) -> int:
        return int(self.builder.CreateNumpyVector(np.asarray(values, np.int32)))

    def _vector(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def _table(self, fields: Sequence[int | tuple[str, int] | None]) -> int:
        """Write a table: each field an offset, or (type, number), or None where it is left out."""
        builder = self.builder
        scalars: dict[str, Callable[[int, int, int], None]] = {
            "int8": builder.PrependInt8Slot,
            "uint8": builder.PrependUint8Slot,
            "int32": builder.PrependInt32Slot,
            "uint32": builder.PrependUint32Slot,
        }
        builder.StartObject(len(fields))
        for slot, field in enumerate(fields):
            if isinstance(field, tuple):
                scalars[field[0]](slot, field[1], 0)
            elif field is not None:
                builder.PrependUOffsetTRelativeSlot(slot, field, 0)
        return int(builder.EndObject())


_TIMEOUT_S = 120.0
_WARM_UP_S, _MEASURED_S = 0.05, 0.25  # Of each shape; twice, in turn, and at least 5 runs.
_ROUNDS, _MIN_RUNS = 2, 5


@dataclass(frozen=True)
class BestRate:
    """The best of some shapes in 10^9 multiply-accumulates a second; None: `shape` says why."""

    gmacs_per_s: float | None
    shape: str


@cache
def best_rate(runtime: str, threads: int, dtype: str) -> BestRate:
    """Measure, once in this process, what `dtype` ("float32" or "int8") convolutions reach with a runtime."""
    told = ask(f"from {__name__} import main; main()", runtime, str(threads), dtype, timeout=_TIMEOUT_S)
    if told.answer is None:
        return BestRate(None, f"plain {dtype} convolutions could not be measured: it {told.reason}")
    return BestRate(told.answer["rate"], told.answer["shape"])


def main() -> None:
    """Measure all shapes and print the best as JSON."""
    runtime, threads, dtype = sys.argv[1:]
    execution = Execution(runtime=runtime, threads=int(threads))
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
    sys.stdout.write("\n" + json.dumps({"rate": rates[best], "shape": str(SHAPES[best])}) + "\n")


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
