"""The process that runs one model, and nothing else: what it takes and what it crashes are the model's alone.

It answers requests, lines of JSON on its standard input, until that ends, as it does when the parent is gone.
`process.py` is the other side.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ...edge.errors import EdgeClassifyError, error_text
from ...edge.runtime import REFUSALS, Execution, find_runtime, open_interpreter
from .memory import peak_rss_mb, resident_mb
from .messages import Block, Loading
from .steadiness import warm_up


def main() -> None:
    """Serve the process that holds the other ends of the pipes."""
    answers = _claim_stdout()
    _ignore_signals()
    gc.disable()  # Nothing here makes cycles, and a collection takes longer than a small model.
    worker = _Worker()
    try:
        for line in sys.stdin:
            answers.write(json.dumps(worker.answer(json.loads(line))) + "\n")
            answers.flush()
    except BrokenPipeError:  # The parent is gone.
        pass


class _Worker:
    """Keeps the interpreter between requests."""

    def __init__(self) -> None:
        self._execution = Execution()
        self._interpreter: Any = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked, and return what came of it, or {"error": sentence}."""
        answers: dict[str, Callable[..., dict[str, Any]]] = {
            "start": self._start, "load": self._load, "warm_up": self._warm_up,
            "time_runs": self._time_runs, "time_for": self._time_for,
        }  # fmt: skip
        what = request.pop("do")
        try:
            return answers[what](**request)
        except EdgeClassifyError as error:
            return {"error": str(error)}
        except REFUSALS as error:
            return {"error": f"the model cannot be run ({error_text(error)})"}

    def _start(self, execution: dict[str, Any]) -> dict[str, Any]:
        """Import the runtime, so that this is no part of loading a model."""
        options = tuple(map(tuple, execution.pop("delegate_options")))
        # Untrusted models get a process of their own, which this one is.
        self._execution = replace(Execution(**execution, delegate_options=options), untrusted=False)
        runtime = find_runtime(self._execution.runtime)
        return {"runtime": f"{runtime.name} {runtime.version}"}

    def _load(self, path: str) -> dict[str, Any]:
        started = time.perf_counter()
        loaded = open_interpreter(Path(path), self._execution)
        load_ms = _ms_since(started)
        self._interpreter = loaded.interpreter
        resident = resident_mb()
        for details in self._interpreter.get_input_details():
            values = noise(tuple(details["shape"]), np.dtype(details["dtype"]))
            self._interpreter.set_tensor(details["index"], values)
        started = time.perf_counter()
        self._interpreter.invoke()
        return asdict(Loading(load_ms, _ms_since(started), resident, loaded.remarks))

    def _warm_up(self, patience_s: float) -> dict[str, Any]:
        return asdict(warm_up(self._interpreter.invoke, patience_s))

    def _time_runs(self, runs: int, uncounted: int) -> dict[str, Any]:
        for _ in range(uncounted):
            self._interpreter.invoke()
        return _block(time_runs(self._interpreter.invoke, runs), uncounted)

    def _time_for(self, seconds: float) -> dict[str, Any]:
        """Time the runs that begin within so many seconds, one at least."""
        deadline = time.perf_counter() + seconds
        latencies: list[float] = []
        while not latencies or time.perf_counter() < deadline:
            latencies += time_runs(self._interpreter.invoke, 1)
        return _block(latencies, 0)


def _block(latencies: list[float], uncounted: int) -> dict[str, Any]:
    return asdict(Block(tuple(latencies), uncounted, resident_mb(), peak_rss_mb()))


def time_runs(invoke: Callable[[], object], runs: int) -> list[float]:
    """Return the milliseconds of so many calls."""
    clock = time.perf_counter
    latencies = [0.0] * runs
    for number in range(runs):
        started = clock()
        invoke()
        latencies[number] = (clock() - started) * 1000
    return latencies


def noise(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return pixels at random, the same each time; speed does not depend on what they show."""
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return pixels.view(np.int8) if dtype == np.int8 else pixels.astype(dtype)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


def _claim_stdout() -> IO[str]:
    """Return the pipe to the parent; what a runtime prints goes to stderr, where it does no harm."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return pipe


def _ignore_signals() -> None:
    """Leave it to the parent to decide what Ctrl-C and a service's end mean; its end closes the pipe."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
