"""The best rate of plain convolutions through a runtime: what this machine can do, told without a compiler.

The child runs `main` with runtime, threads and type as its arguments, and prints one JSON object.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...edge.children import ask
from ...edge.runtime import Execution, open_interpreter
from .synthetic import SHAPES, model_macs, write_model

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
