"""How many runs a block has, and when a model has had enough blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from .distribution import median_interval
from .records import Measurement, ProcessRun

# Long compared with the change from one model to the next, short compared with disturbances by neighbours.
BLOCK_MS = 60.0
BLOCK_RUNS, MAX_BLOCK_RUNS = 5, 500
SLOW_MS, SLOW_RUNS = 200.0, 3  # For a model whose blocks would take more than a second.
MIN_RUNS, MIN_BLOCKS = 100, 5  # All runs of a model, and blocks of each of its processes.
MAX_SECONDS, MAX_RUNS = 3.0, 10_000  # Of all blocks of a model.
HALF_WIDTH = 0.01
_SAMPLES = 200
_MAX_ROUNDS = 200


class Pace(Protocol):
    """Decides before each turn how many runs it has, and when no round is needed any more."""

    def begin(self, process_runs: Sequence[ProcessRun]) -> None:
        """Begin with these process runs, which take turns from now on."""

    def next_runs(self, measurement: Measurement) -> int:
        """Return the number of runs of the next block of this model; 0: it gets no block any more."""

    def wants_more(self, measurement: Measurement) -> bool:
        """Return whether this model needs another round."""


def choose_pace(runs: int | None, processes: int) -> Pace:
    """Return the pace for so many runs of each model; None: for as many as it takes."""
    return UntilKnown(processes) if runs is None else Exactly(runs, processes)


def runs_a_block(run_ms: float) -> int:
    """Return how many runs of this length make a block."""
    fewest = SLOW_RUNS if run_ms > SLOW_MS else BLOCK_RUNS
    return max(fewest, min(MAX_BLOCK_RUNS, math.ceil(BLOCK_MS / max(run_ms, 1e-3))))


def uncounted_runs(run_ms: float) -> int:
    """Return how many runs come before those of a block: other models have used the caches meanwhile.

    Measured on a 2-core x86-64, in turn with a model of 14 MB: where a run takes 0.4 ms, the first takes 37 %
    more than the tenth, the third 7 % and the fifth 2 %; where it takes 2 ms, the first two take 5 % more.
    """
    return 1 if run_ms > SLOW_MS else max(2, min(50, round(2 / max(run_ms, 1e-3))))


class UntilKnown:
    """Goes on until the 95 % interval of the median is HALF_WIDTH to both sides, or the time is used up."""

    def __init__(self, processes: int) -> None:
        """Share the time out among the processes."""
        self._processes = processes
        self._share = 0.0

    def begin(self, process_runs: Sequence[ProcessRun]) -> None:
        """See Pace."""
        self._share = (process_runs[0].process + 1) / self._processes

    def next_runs(self, measurement: Measurement) -> int:
        """See Pace; every process gets a block."""
        process_run = measurement.process_runs[-1]
        seconds = sum(each.seconds for each in measurement.process_runs)
        runs = sum(each.runs for each in measurement.process_runs)
        is_late = seconds >= MAX_SECONDS * self._share or runs >= MAX_RUNS * self._share
        if process_run.turns and is_late:
            return 0
        return runs_a_block(process_run.warm_up.run_ms)

    def wants_more(self, measurement: Measurement) -> bool:
        """See Pace."""
        if not self.next_runs(measurement):
            return False
        runs = sum(process_run.runs for process_run in measurement.process_runs)
        if len(measurement.process_runs[-1].turns) < MIN_BLOCKS or runs < MIN_RUNS * self._share:
            return True
        # Of the blocks so far: more of them do not make processes differ less.
        medians = [np.array([turn.median]) for turn in measurement.turns]
        low, high = median_interval([medians], _SAMPLES)
        # After the first of n processes the interval may be wider: the other processes will narrow it.
        return (high - low) / 2 > HALF_WIDTH / math.sqrt(self._share) * float(np.median(medians))


class Exactly:
    """Shares `runs` out among the processes, and in each of these evenly among the rounds."""

    def __init__(self, runs: int, processes: int) -> None:
        """Take the number of runs of each model."""
        self._runs, self._processes = runs, processes
        self._share = 0
        self._rounds = 1

    def begin(self, process_runs: Sequence[ProcessRun]) -> None:
        """See Pace; the slowest model decides the number of rounds, so that all models are in each round."""
        rest = self._runs % self._processes
        self._share = self._runs // self._processes + (process_runs[0].process < rest)
        slowest = max(process_run.warm_up.run_ms for process_run in process_runs)
        self._rounds = max(1, min(_MAX_ROUNDS, self._share // runs_a_block(slowest)))

    def next_runs(self, measurement: Measurement) -> int:
        """See Pace."""
        process_run = measurement.process_runs[-1]
        return math.ceil((self._share - process_run.runs) / max(1, self._rounds - len(process_run.turns)))

    def wants_more(self, measurement: Measurement) -> bool:
        """See Pace."""
        return self.next_runs(measurement) > 0
