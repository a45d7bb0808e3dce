"""Models take turns, A B C, then B C A, so that what the machine does meanwhile concerns all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

import numpy as np

from ...edge.cores import cores
from ...edge.default_model import DEFAULT_MODEL
from ...edge.errors import BenchmarkError
from ...edge.progress import Advance
from ...edge.runtime import Execution
from ..surroundings.watch import Watch
from .memory import available_mb
from .pacing import choose_pace
from .plan import Outcome, Plan, Task
from .process import Worker
from .records import Contender, Sitting, Turn
from .soak import count_points, soak
from .summary import summarize

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


# Seconds for a model to come to rest in: in its first process, and in the others.
_PATIENCE_S = (1.0, 0.5)


def measure(plan: Plan, advance: Advance) -> Outcome:
    """Measure all tasks of `plan`, each in processes of its own, and call `advance` for each of steps(plan).

    A task that fails is a Failed, and the others go on. After Ctrl-C the outcome holds the tasks that had
    a turn at least.
    """
    with closing(Watch()) as watch:
        session = _Session(plan, watch, advance)
        interrupted = False
        try:
            session.take_turns()
            session.soak()
        except KeyboardInterrupt:
            interrupted = True
        return Outcome(tuple(summarize(session.tasks, watch)), interrupted)


def steps(plan: Plan) -> int:
    """Return how many steps measure() tells of: one for each process of a task, and each point of a soak."""
    points = count_points(plan.soak_minutes) if plan.soak_minutes else 0
    return len(plan.tasks) * (_processes(plan) + points)


def yardstick_execution(execution: Execution) -> Execution:
    """Return how the yardstick is run beside a task: alike, but without its delegate."""
    return Execution(runtime=execution.runtime, threads=execution.threads)


def _processes(plan: Plan) -> int:
    return plan.processes if plan.runs is None else min(plan.processes, plan.runs)


class _Session:
    """A measurement while it is made."""

    def __init__(self, plan: Plan, watch: Watch, advance: Advance) -> None:
        self._plan, self._watch, self._advance = plan, watch, advance
        self.tasks = [Contender(task) for task in plan.tasks]
        self._seats = Seats()
        self._pace = choose_pace(plan.runs, _processes(plan))
        self._random = np.random.default_rng(0)

    def take_turns(self) -> None:
        """Measure the tasks: all at once where memory suffices, else group by group, each with the base."""
        base = self.tasks[self._plan.base]
        waiting = [base, *(contender for contender in self.tasks if contender is not base)]
        while waiting:
            companions = self._join(waiting, base if base in waiting else Contender(base.task))
            members = waiting
            for process in range(_processes(self._plan)):
                left_out = self._sit(companions, members, process)
                members = [contender for contender in members if contender not in left_out]
                self._advance(len(members))
            waiting = [contender for contender in waiting if contender not in members]

    def soak(self) -> None:
        """Run each model for a long time."""
        for contender in self.tasks:
            if self._plan.soak_minutes and contender.failure is None:
                soak(contender, self._plan.soak_minutes, self._watch, self._advance)

    def _join(self, members: Sequence[Contender], base: Contender) -> list[Contender]:
        """Tell the members what they are compared to; return those of it that are not members."""
        yardsticks: dict[Execution, Contender] = {}
        for contender in members:
            contender.base = base
            if self._plan.yardstick:
                execution = yardstick_execution(contender.task.execution)
                yardstick = yardsticks.setdefault(execution, Contender(Task(DEFAULT_MODEL, execution)))
                contender.yardstick = yardstick
        return [*yardsticks.values(), *([] if base in members else [base])]

    def _sit(
        self, companions: Sequence[Contender], members: Sequence[Contender], process: int
    ) -> list[Contender]:
        """Let all take turns, each in a new process; return the members that memory is too short for.

        It is found out in the first process; the others are then as large.
        """
        present = [contender for contender in (*companions, *members) if contender.failure is None]
        least = len(present) if process else len(companions) + 1
        try:
            left_out = self._seats.fill(present, process, _PATIENCE_S[min(process, 1)], least)
            if self._seats.taken:
                self._pace.begin([seat.sitting for seat in self._seats.taken])
                self._take_rounds([contender for contender in members if contender not in left_out])
        finally:
            self._seats.close()
        return left_out

    def _take_rounds(self, members: Sequence[Contender]) -> None:
        for number in count():
            alive = [contender for contender in members if contender.failure is None]
            if not any(self._pace.wants_more(contender) for contender in alive):
                return
            # In another order each time, so that none always follows the same one.
            seats = list(self._seats.taken)
            for index in self._random.permutation(len(seats)):
                self._take_turn(seats[index], number)
            self._advance(0, f"round {number + 1}")

    def _take_turn(self, seat: Seat, number: int) -> None:
        contender, sitting = seat.contender, seat.sitting
        runs = self._pace.next_runs(contender)
        if runs == 0:
            return
        before = self._watch.snapshot(self._seats.pids)
        block = self._seats.ask(contender, lambda: seat.worker.time_runs(runs, sitting.warm_up.run_ms))
        if block is not None:
            span = (before, self._watch.snapshot(self._seats.pids))
            sitting.turns.append(Turn(number, block, span))
