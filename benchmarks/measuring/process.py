"""A worker process, as the benchmark sees it: start it, ask it, and say why it died."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ...edge.children import Child, Reply
from ...edge.errors import BenchmarkError
from ...edge.processes import child_environment, python_command
from .messages import Block, Loading, WarmUp
from .pacing import uncounted_runs
from .plan import ModelRun

# A Raspberry Pi Zero takes ten seconds to import a runtime, and an inference of a large model minutes.
HANGS_AFTER_S = 300.0
_SLOWER = 20  # A block that takes so many times the expected time hangs.


class Worker:
    """A child process that runs one model. A method that raises BenchmarkError leaves it of no more use.

    The constructor returns at once, so that several workers can import their runtimes at the same time.
    """

    def __init__(self, model_run: ModelRun) -> None:
        """Start the process."""
        self.model_run = model_run
        # One thread for numpy's linear algebra, which is not used: more threads would only take memory.
        environment = child_environment(OPENBLAS_NUM_THREADS="1")
        command = python_command(f"from {__package__}.worker import main; main()")
        self._child = Child(command, environment)
        self.pid = self._child.pid
        self._child.send({"do": "start", "execution": asdict(model_run.execution)})

    def started(self) -> str:
        """Wait until the runtime is imported, and return its package and version."""
        return str(self._checked(self._child.receive(HANGS_AFTER_S))["runtime"])

    def load(self) -> Loading:
        """Load the model, and run it once."""
        answer = self._ask("load", HANGS_AFTER_S, path=str(self.model_run.path.resolve()))
        return Loading(**{**answer, "remarks": tuple(answer["remarks"])})

    def warm_up(self, patience_s: float) -> WarmUp:
        """Run the model until its time is steady, or for about `patience_s` seconds."""
        return WarmUp(**self._ask("warm_up", HANGS_AFTER_S + patience_s, patience_s=patience_s))

    def time_runs(self, runs: int, expected_ms: float) -> Block:
        """Time `runs` inferences, each expected to take `expected_ms`, after some that are not counted."""
        limit = HANGS_AFTER_S + _SLOWER * runs * expected_ms / 1000
        return self._to_block(self._ask("time_runs", limit, runs=runs, uncounted=uncounted_runs(expected_ms)))

    def time_for(self, seconds: float) -> Block:
        """Time the inferences that begin within `seconds`, at least one."""
        return self._to_block(self._ask("time_for", HANGS_AFTER_S + seconds, seconds=seconds))

    def finish(self) -> None:
        """Let the process end; `close` waits for it."""
        self._child.close_stdin()

    def close(self) -> None:
        """End the process; may be called twice."""
        self._child.close()

    @staticmethod
    def _to_block(answer: dict[str, Any]) -> Block:
        return Block(**{**answer, "latencies": tuple(answer["latencies"])})

    def _ask(self, what: str, limit_s: float, **arguments: Any) -> dict[str, Any]:
        return self._checked(self._child.ask({"do": what, **arguments}, limit_s))

    def _checked(self, reply: Reply) -> dict[str, Any]:
        if reply.answer is None:
            raise BenchmarkError(f"{self.model_run.path} could not be measured: its process {reply.reason}")
        if "error" in reply.answer:
            raise BenchmarkError(_with_name(self.model_run, reply.answer["error"]))
        return reply.answer


def _with_name(model_run: ModelRun, error: str) -> str:
    """Return the sentence with the file's name as the user gave it, added where it is missing."""
    path = str(model_run.path)
    error = error.replace(str(model_run.path.resolve()), path)
    return error if path in error else f"{path}: {error}"
