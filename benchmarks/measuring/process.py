"""A worker process, seen from here: started, asked, and found out why it died."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from ...edge.errors import BenchmarkError
from .messages import Block, Loading, WarmUp
from .pacing import uncounted_runs
from .plan import ModelRun

# Without the working folder on the path: a user's numpy.py there is not ours to import.
_START = f"import sys; sys.path[:] = filter(None, sys.path); from {__package__}.worker import main; main()"
# A Raspberry Pi Zero takes ten seconds to import a runtime, and an inference of a large model minutes.
HANGS_AFTER_S = 300.0
_SLOWER = 20  # Times what is expected, before it counts as hanging.
_FAREWELL_S = 2.0
_STDERR_BYTES = 4096


class Worker:
    """A child process for one task. Every method raises BenchmarkError when it fails; it is then of no use.

    The constructor returns at once, so that several may import their runtimes at the same time.
    """

    def __init__(self, task: ModelRun) -> None:
        """Start the process."""
        self.task = task
        self._hung = False
        # A pipe that nobody reads would stop a runtime that talks.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - close() does.
        self._child = subprocess.Popen(
            [sys.executable, "-c", _START],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr,
            # One thread for numpy's linear algebra, which is not used: others only take memory.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
        self.pid = self._child.pid
        with suppress(OSError):  # It died already: the answer will say so.
            self._send("start", execution=asdict(task.execution))

    def started(self) -> str:
        """Wait until the runtime is imported, and return its package and version."""
        return str(self._receive(HANGS_AFTER_S)["runtime"])

    def load(self) -> Loading:
        """Load the model, and run it once."""
        answer = self._ask("load", HANGS_AFTER_S, path=str(self.task.path.resolve()))
        return Loading(**{**answer, "remarks": tuple(answer["remarks"])})

    def warm_up(self, patience_s: float) -> WarmUp:
        """Run the model until its time is steady, or for about so many seconds."""
        return WarmUp(**self._ask("warm_up", HANGS_AFTER_S + patience_s, patience_s=patience_s))

    def time_runs(self, runs: int, expected_ms: float) -> Block:
        """Time so many inferences, each expected to take `expected_ms`, after some that are not counted."""
        limit = HANGS_AFTER_S + _SLOWER * runs * expected_ms / 1000
        return self._to_block(self._ask("time_runs", limit, runs=runs, uncounted=uncounted_runs(expected_ms)))

    def time_for(self, seconds: float) -> Block:
        """Time the inferences that begin within so many seconds, one at least."""
        return self._to_block(self._ask("time_for", HANGS_AFTER_S + seconds, seconds=seconds))

    def let_go(self) -> None:
        """Tell the process to end, without waiting for that; `close` does."""
        with suppress(OSError):
            assert self._child.stdin is not None
            self._child.stdin.close()

    def close(self) -> None:
        """End the process; may be called twice."""
        self.let_go()
        try:
            self._child.wait(_FAREWELL_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        assert self._child.stdout is not None
        self._child.stdout.close()
        self._stderr.close()

    @staticmethod
    def _to_block(answer: dict[str, Any]) -> Block:
        return Block(**{**answer, "latencies": tuple(answer["latencies"])})

    def _ask(self, what: str, limit_s: float, **arguments: Any) -> dict[str, Any]:
        try:
            self._send(what, **arguments)
        except OSError:
            raise BenchmarkError(self._why_it_died(limit_s)) from None
        return self._receive(limit_s)

    def _send(self, what: str, **arguments: Any) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps({"do": what, **arguments}).encode() + b"\n")
        self._child.stdin.flush()

    def _receive(self, limit_s: float) -> dict[str, Any]:
        timer = threading.Timer(limit_s, self._kill_late)
        timer.daemon = True
        timer.start()
        try:
            answer = self._next_answer()
        finally:
            timer.cancel()
        if answer is None:
            raise BenchmarkError(self._why_it_died(limit_s))
        if "error" in answer:
            raise BenchmarkError(_named(self.task, answer["error"]))
        return answer

    def _next_answer(self) -> dict[str, Any] | None:
        """Return the next line that is an answer, None at the end; Python may print at its start."""
        assert self._child.stdout is not None
        for line in self._child.stdout:
            with suppress(ValueError):
                answer = json.loads(line)
                if isinstance(answer, dict):
                    return answer
        return None

    def _kill_late(self) -> None:
        self._hung = True
        self._child.kill()

    def _why_it_died(self, limit_s: float) -> str:
        try:
            status = self._child.wait(_FAREWELL_S)
        except subprocess.TimeoutExpired:
            return f"{self.task.path} made its process fall silent"
        if self._hung:
            return f"{self.task.path} was stopped: it gave no answer for {limit_s:.0f} seconds"
        if status < 0:
            return f"{self.task.path} ended the runtime with {_signal(-status)}"
        self._stderr.seek(max(0, self._stderr.seek(0, os.SEEK_END) - _STDERR_BYTES))
        said = self._stderr.read().decode(errors="replace").strip().splitlines()
        return f"{self.task.path} could not be measured: {said[-1] if said else f'exit status {status}'}"


def _named(task: ModelRun, error: str) -> str:
    """Return the sentence with the file's name, where it is not in it already."""
    path = str(task.path)
    error = error.replace(str(task.path.resolve()), path)
    return error if path in error else f"{path}: {error}"


def _signal(number: int) -> str:
    """Return a signal's name, and what it is a sign of."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    hint = "killed, perhaps for lack of memory" if name == "SIGKILL" else "it crashed"
    return f"{name} ({hint})"
