"""Models take turns, A B C, then B C A, so that disturbances of the machine meet all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from itertools import count
from typing import NamedTuple, TypeVar

import numpy as np

from ...edge.cores import cores
from ...edge.errors import BenchmarkError
from ...edge.progress import Advance
from ...edge.runtime import Execution
from ..host import describe_host
from ..results.origin import describe_origin
from ..results.result import Failure, Origin, Result
from ..surroundings.watch import Watch
from .memory import available_mb
from .pacing import choose_pace
from .plan import ModelRun, Plan
from .process import Worker
from .records import Measurement, ProcessRun, Turn
from .soak import count_points, soak
from .summary import summarize
from .yardstick import yardstick_model

# The longest warm-up in seconds: of a model's first process, and of the others.
_PATIENCE_S = (1.0, 0.5)
_SPARE_MB = 100.0
_Answer = TypeVar("_Answer")


class MeasuringInterrupted(KeyboardInterrupt):
    """Ctrl-C came while models were measured.

    `results` holds what was measured until then, in the order of the plan; None for a model without a turn.
    """

    def __init__(self, results: Sequence[Result | Failure | None]) -> None:
        """Keep the results."""
        super().__init__()
        self.results = tuple(results)


def measure(plan: Plan, advance: Advance, origin: Origin | None = None) -> list[Result | Failure]:
    """Measure all models of `plan`, each in its own processes, and return what was measured, in order.

        plan = Plan((ModelRun(CheckedModel.read(Path("model.tflite")), Execution()),))
        (found,) = measure(plan, advance=lambda count=1, note="": None)

    A model that fails gives a Failure, and the others go on. `advance` is called for each of the steps(plan).
    `origin` goes into the results; None: it is found out here. After Ctrl-C MeasuringInterrupted is raised.
    """
    host, origin = describe_host(), origin or describe_origin()
    with closing(Watch()) as watch:
        session = _TurnTaking(plan, watch, advance)
        interrupted = False
        try:
            session.take_turns()
            session.soak()
        except KeyboardInterrupt:
            interrupted = True
        found = [summarize(measurement, watch, host, origin) for measurement in session.measurements]
    if interrupted:
        raise MeasuringInterrupted(found)
    return [result for result in found if result is not None]


def steps(plan: Plan) -> int:
    """Return the number of steps of measure(): one for each process of a model and each point of a soak."""
    points = count_points(plan.soak_minutes) if plan.soak_minutes else 0
    return len(plan.model_runs) * (_processes(plan) + points)


def yardstick_execution(execution: Execution) -> Execution:
    """Return how the yardstick is run beside a model: in the same way, but without its delegate."""
    return Execution(runtime=execution.runtime, threads=execution.threads)


class Slot(NamedTuple):
    """A place among the models that take turns: a measurement, its worker, and its process run."""

    measurement: Measurement
    worker: Worker
    process_run: ProcessRun


class Slots:
    """Workers with loaded models. A worker that fails loses its slot, and its measurement has failed."""

    def __init__(self) -> None:
        """Begin without workers."""
        self.taken: list[Slot] = []
        # Of all workers that were ever started: their processor time is not that of neighbours.
        self.pids: list[int] = []
        self._workers: list[Worker] = []

    def fill(
        self, measurements: Sequence[Measurement], process: int, patience_s: float, least: int
    ) -> list[Measurement]:
        """Load each model in a new process, and warm it up, one after the other.

        Return the measurements for which memory is too short; at least `least` are loaded in any case.
        """
        waiting = list(measurements)
        while waiting:
            # Runtimes are imported at the same time, but a model is loaded while nothing else is done.
            batch = [(measurement, self._start(measurement)) for measurement in waiting[: cores()]]
            runtimes = [self.ask(measurement, worker.started) for measurement, worker in batch]
            for (measurement, worker), runtime in zip(batch, runtimes, strict=True):
                if len(self.taken) >= least and self._memory_is_short():
                    self._end(worker for measurement, worker in batch if measurement in waiting)
                    return waiting
                waiting.remove(measurement)
                if runtime is not None:
                    measurement.runtime = runtime
                    self._take(measurement, worker, process, patience_s)
        return []

    def ask(self, measurement: Measurement, question: Callable[[], _Answer]) -> _Answer | None:
        """Return the answer of a worker; None where it failed."""
        try:
            return question()
        except BenchmarkError as error:
            measurement.failure = str(error)
            self.taken = [slot for slot in self.taken if slot.measurement is not measurement]
            return None

    def close(self) -> None:
        """End all workers."""
        self.taken = []
        self._end(list(self._workers))

    def _start(self, measurement: Measurement) -> Worker:
        worker = Worker(measurement.model_run)
        self._workers.append(worker)
        self.pids.append(worker.pid)
        return worker

    def _take(self, measurement: Measurement, worker: Worker, process: int, patience_s: float) -> None:
        loading = self.ask(measurement, worker.load)
        warm_up = loading and self.ask(measurement, lambda: worker.warm_up(patience_s))
        if loading and warm_up:
            process_run = ProcessRun(process, loading, warm_up)
            measurement.process_runs.append(process_run)
            self.taken.append(Slot(measurement, worker, process_run))

    def _memory_is_short(self) -> bool:
        """Return whether another process might not fit, if it were as large as the largest one."""
        available = available_mb()
        held = [slot.process_run.loading.resident_mb or 0.0 for slot in self.taken]
        return available is not None and available < max(held, default=0.0) + _SPARE_MB

    def _end(self, workers: Iterable[Worker]) -> None:
        """End workers at the same time, since each takes a while."""
        leaving = list(workers)
        self._workers = [worker for worker in self._workers if worker not in leaving]
        for worker in leaving:
            worker.finish()
        for worker in leaving:
            worker.close()


class _TurnTaking:
    """The measurements of a plan while they are made."""

    def __init__(self, plan: Plan, watch: Watch, advance: Advance) -> None:
        self._plan, self._watch, self._advance = plan, watch, advance
        self.measurements = [Measurement(model_run) for model_run in plan.model_runs]
        self._slots = Slots()
        self._pace = choose_pace(plan.runs, _processes(plan))
        self._random = np.random.default_rng(0)

    def take_turns(self) -> None:
        """Measure all models at once where memory suffices, else group by group, each with the base."""
        base = self.measurements[self._plan.base]
        waiting = [base, *(measurement for measurement in self.measurements if measurement is not base)]
        while waiting:
            companions = self._join(waiting, base if base in waiting else Measurement(base.model_run))
            members = waiting
            for process in range(_processes(self._plan)):
                left_out = self._run_processes(companions, members, process)
                members = [measurement for measurement in members if measurement not in left_out]
                self._advance(len(members))
            waiting = [measurement for measurement in waiting if measurement not in members]

    def soak(self) -> None:
        """Run each model without a pause for the minutes of the plan."""
        for measurement in self.measurements:
            if self._plan.soak_minutes and measurement.failure is None:
                soak(measurement, self._plan.soak_minutes, self._watch, self._advance)

    def _join(self, members: Sequence[Measurement], base: Measurement) -> list[Measurement]:
        """Give the members their base and yardstick; return those of the two kinds that are not members."""
        yardsticks: dict[Execution, Measurement] = {}
        for measurement in members:
            measurement.base = base
            if self._plan.yardstick:
                execution = yardstick_execution(measurement.model_run.execution)
                if execution not in yardsticks:
                    yardsticks[execution] = Measurement(ModelRun(yardstick_model(), execution))
                measurement.yardstick = yardsticks[execution]
        return [*yardsticks.values(), *([] if base in members else [base])]

    def _run_processes(
        self, companions: Sequence[Measurement], members: Sequence[Measurement], process: int
    ) -> list[Measurement]:
        """Let all take turns, each in a new process; return the members for which memory is too short.

        That is found out in the first process; the others are then as large.
        """
        present = [measurement for measurement in (*companions, *members) if measurement.failure is None]
        least = len(present) if process else len(companions) + 1
        try:
            left_out = self._slots.fill(present, process, _PATIENCE_S[min(process, 1)], least)
            if self._slots.taken:
                self._pace.begin([slot.process_run for slot in self._slots.taken])
                self._take_rounds([measurement for measurement in members if measurement not in left_out])
        finally:
            self._slots.close()
        return left_out

    def _take_rounds(self, members: Sequence[Measurement]) -> None:
        for number in count():
            alive = [measurement for measurement in members if measurement.failure is None]
            if not any(self._pace.wants_more(measurement) for measurement in alive):
                return
            # In another order each time, so that no model always follows the same one.
            slots = list(self._slots.taken)
            for index in self._random.permutation(len(slots)):
                self._take_turn(slots[index], number)
            self._advance(0, f"round {number + 1}")

    def _take_turn(self, slot: Slot, number: int) -> None:
        measurement, worker, process_run = slot
        runs = self._pace.next_runs(measurement)
        if runs == 0:
            return
        before = self._watch.snapshot(self._slots.pids)
        block = self._slots.ask(measurement, lambda: worker.time_runs(runs, process_run.warm_up.run_ms))
        if block is not None:
            span = (before, self._watch.snapshot(self._slots.pids))
            process_run.turns.append(Turn(number, block, span))


def _processes(plan: Plan) -> int:
    return plan.processes if plan.runs is None else min(plan.processes, plan.runs)
