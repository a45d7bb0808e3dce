"""Latency and memory of one model, measured in a process of its own.

A fresh process gives a peak memory that is this model's alone, and a crash of the runtime takes
nothing else with it. That process runs `main` with FILE THREADS RUNS as its arguments, and prints
one JSON object.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge.errors import BenchmarkError, EdgeClassifyError
from ..edge.runtime import find_runtime, load_interpreter
from .host import peak_rss_mb
from .statistics import percentile

WARM_UP_RUNS = 10
MIN_RUNS, MAX_RUNS, MAX_SECONDS = 100, 5000, 10.0
_STABLE = 0.02
_CHECK_EVERY = 50
_TIMEOUT_S = 1800
# Without the working folder on the path: a user's numpy.py there is not ours to import.
_START = f"import sys; sys.path[:] = filter(None, sys.path); from {__name__} import main; main()"


@dataclass(frozen=True)
class Latency:
    """Milliseconds: `load_ms` from file to allocated tensors, the others of single invoke() calls."""

    runtime: str
    load_ms: float
    first_ms: float
    median_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    runs: int
    peak_rss_mb: float | None


def measure_latency(path: Path, threads: int, runs: int | None) -> Latency:
    """Measure a model in a fresh process; `runs` None means as many as a stable median takes.

    Raises BenchmarkError when the model cannot be loaded, or takes the runtime down.
    """
    command = [sys.executable, "-c", _START, str(path.resolve()), str(threads), str(runs or 0)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"{path} took longer than {_TIMEOUT_S // 60} minutes to measure") from None
    if result.returncode < 0:
        raise BenchmarkError(
            f"{path} ended the runtime with signal {-result.returncode}{_hint(result.returncode)}"
        )
    try:
        answer = json.loads(result.stdout)
    except ValueError:
        lines = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
        raise BenchmarkError(f"{path} could not be measured: {lines[-1]}") from None
    if "error" in answer:
        raise BenchmarkError(answer["error"])
    return Latency(**answer)


def _hint(status: int) -> str:
    return " (killed, perhaps for lack of memory)" if -status == signal.SIGKILL else " (it crashed)"


def is_stable(latencies: list[float]) -> bool:
    """Return whether the medians of the first and the second half are within 2 % of each other."""
    half = len(latencies) // 2
    first, second = np.median(latencies[:half]), np.median(latencies[half:])
    return bool(abs(first - second) <= _STABLE * max(first, second))


def time_runs(invoke: Callable[[], object], runs: int | None) -> list[float]:
    """Return milliseconds of each call of `invoke`, after a warm-up that is not counted.

    Without `runs`: at least 100, until the median is stable; after that at most 5,000 or 10 seconds.
    """
    for _ in range(WARM_UP_RUNS):
        invoke()
    latencies: list[float] = []
    deadline = time.monotonic() + MAX_SECONDS
    while True:
        started = time.perf_counter()
        invoke()
        latencies.append((time.perf_counter() - started) * 1000)
        count = len(latencies)
        if runs is not None:
            if count >= runs:
                return latencies
        elif (
            count >= MAX_RUNS
            or (count >= MIN_RUNS and time.monotonic() > deadline)
            or (count >= MIN_RUNS and count % _CHECK_EVERY == 0 and is_stable(latencies))
        ):
            return latencies


def _measure_here(path: Path, threads: int, runs: int | None) -> Latency:
    runtime = find_runtime()
    started = time.perf_counter()
    interpreter = load_interpreter(path, threads)
    load_ms = (time.perf_counter() - started) * 1000
    details = interpreter.get_input_details()[0]
    interpreter.set_tensor(details["index"], _noise(tuple(details["shape"]), np.dtype(details["dtype"])))
    started = time.perf_counter()
    interpreter.invoke()
    first_ms = (time.perf_counter() - started) * 1000
    latencies = np.array(time_runs(interpreter.invoke, runs))
    tails = {f"p{p}_ms": round(percentile(latencies, p), 4) for p in (90, 95, 99)}
    peak = peak_rss_mb()
    return Latency(
        runtime=f"{runtime.name} {runtime.version}",
        load_ms=round(load_ms, 3),
        first_ms=round(first_ms, 3),
        median_ms=round(percentile(latencies, 50), 4),
        runs=len(latencies),
        peak_rss_mb=None if peak is None else round(peak, 1),
        **tails,
    )


def _noise(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return pixels at random, the same each time; speed does not depend on what they show."""
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return pixels.view(np.int8) if dtype == np.int8 else pixels.astype(dtype)


def main() -> None:
    """Measure the model that the command line names, and print the figures as JSON."""
    path, threads, runs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    try:
        answer = asdict(_measure_here(path, threads, runs or None))
    except EdgeClassifyError as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(answer))
