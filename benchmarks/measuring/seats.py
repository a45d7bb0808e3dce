"""The workers that take turns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ...edge.cores import cores
from ...edge.errors import BenchmarkError
from .memory import available_mb
from .process import Worker
from .records import Contender, Sitting

_SPARE_MB = 100.0
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Seat:
    """A contender's worker, and the sitting that it is in."""

    contender: Contender
    worker: Worker
    sitting: Sitting


class Seats:
    """Workers with loaded models. One that fails leaves, and its contender has failed."""

    def __init__(self) -> None:
        """Begin without workers."""
        self.taken: list[Seat] = []
        # Of all workers that there ever were: their processor time is not a neighbour's.
        self.pids: list[int] = []
        self._workers: list[Worker] = []

    def fill(
        self, contenders: Sequence[Contender], process: int, patience_s: float, least: int
    ) -> list[Contender]:
        """Load the models in a new process each, and warm them up, one after the other.

        Return those for which memory is too short; however short it is, `least` of them are loaded.
        """
        waiting = list(contenders)
        while waiting:
            # Runtimes are imported at the same time, but a model is loaded while nothing else is done.
            batch = [(contender, self._start(contender)) for contender in waiting[: cores()]]
            runtimes = [self.ask(contender, worker.started) for contender, worker in batch]
            for (contender, worker), runtime in zip(batch, runtimes, strict=True):
                if len(self.taken) >= least and self._memory_is_short():
                    self._end(worker for contender, worker in batch if contender in waiting)
                    return waiting
                waiting.remove(contender)
                if runtime is not None:
                    contender.runtime = runtime
                    self._seat(contender, worker, process, patience_s)
        return []

    def ask(self, contender: Contender, question: Callable[[], _Answer]) -> _Answer | None:
        """Return a worker's answer; None where it failed."""
        try:
            return question()
        except BenchmarkError as error:
            contender.failure = str(error)
            self.taken = [seat for seat in self.taken if seat.contender is not contender]
            return None

    def close(self) -> None:
        """End all workers."""
        self.taken = []
        self._end(list(self._workers))

    def _start(self, contender: Contender) -> Worker:
        worker = Worker(contender.task)
        self._workers.append(worker)
        self.pids.append(worker.pid)
        return worker

    def _seat(self, contender: Contender, worker: Worker, process: int, patience_s: float) -> None:
        loading = self.ask(contender, worker.load)
        warm_up = loading and self.ask(contender, lambda: worker.warm_up(patience_s))
        if loading and warm_up:
            sitting = Sitting(process, loading, warm_up)
            contender.sittings.append(sitting)
            self.taken.append(Seat(contender, worker, sitting))

    def _memory_is_short(self) -> bool:
        """Return whether one more as large as the largest might not fit."""
        available = available_mb()
        held = [seat.sitting.loading.resident_mb or 0.0 for seat in self.taken]
        return available is not None and available < max(held, default=0.0) + _SPARE_MB

    def _end(self, workers: Iterable[Worker]) -> None:
        """End workers, at the same time: each takes a while to leave."""
        leaving = list(workers)
        self._workers = [worker for worker in self._workers if worker not in leaving]
        for worker in leaving:
            worker.let_go()
        for worker in leaving:
            worker.close()
