"""The process that runs one model and nothing else, so that its memory and its crashes are the model's.

It imports as little as it can, since its memory is measured. `process.py` is the parent's side.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...edge.child_loop import answer_questions
from ...edge.errors import EdgeClassifyError, error_text
from ...edge.runtime import REFUSALS, Execution, find_runtime, open_interpreter
from .memory import peak_rss_mb, resident_mb
from .messages import Block, Loading
from .steadiness import warm_up


def main() -> None:
    """Answer the questions of `process.Worker`, until standard input ends."""
    gc.disable()  # Nothing here makes cycles, and a collection takes longer than a small model.
    answer_questions(_Worker().answer)


class _Worker:
    """Keeps the interpreter between requests."""

    def __init__(self) -> None:
        self._execution = Execution()
        self._interpreter: Any = None

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Do what the question asks for; returns {"error": sentence} where that fails."""
        answers: dict[str, Callable[..., dict[str, Any]]] = {
            "start": self._start, "load": self._load, "warm_up": self._warm_up,
            "time_runs": self._time_runs, "time_for": self._time_for,
        }  # fmt: skip
        what = question.pop("do")
        try:
            return answers[what](**question)
        except EdgeClassifyError as error:
            return {"error": str(error)}
        except REFUSALS as error:
            return {"error": f"the model cannot be run ({error_text(error)})"}

    def _start(self, execution: dict[str, Any]) -> dict[str, Any]:
        """Import the runtime, which is not part of loading a model."""
        options = tuple(map(tuple, execution.pop("delegate_options")))
        # This process is the one that protects the benchmark from an untrusted model.
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
        """Time the runs that begin within `seconds`, at least one."""
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
    """Return random pixels, the same ones each time; the speed does not depend on the picture."""
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return pixels.view(np.int8) if dtype == np.int8 else pixels.astype(dtype)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
