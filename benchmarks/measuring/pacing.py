"""How long a block is, and when a task has had enough of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from .distribution import median_interval
from .records import Contender, Sitting

# Long beside the change from one model to the next, and short beside what neighbours do.
BLOCK_MS = 60.0
BLOCK_RUNS, MAX_BLOCK_RUNS = 5, 500
SLOW_MS, SLOW_RUNS = 200.0, 3  # A model whose blocks would take more than a second.
MIN_RUNS, MIN_BLOCKS = 100, 5  # Runs of a task in all, and blocks of each of its processes.
MAX_SECONDS, MAX_RUNS = 3.0, 10_000  # Of all blocks of a task.
HALF_WIDTH = 0.01
_SAMPLES = 200
_MAX_ROUNDS = 200


class Pace(Protocol):
    """Tells before each turn how it goes on."""

    def begin(self, sittings: Sequence[Sitting]) -> None:
        """Take note that these sittings take turns now."""

    def next_runs(self, contender: Contender) -> int:
        """Return how many runs its next block has; 0: it gets none any more."""

    def wants_more(self, contender: Contender) -> bool:
        """Return whether another round is needed for its sake."""


def choose_pace(runs: int | None, processes: int) -> Pace:
    """Return the pace for so many runs of each task, or for as many as it takes."""
    return UntilKnown(processes) if runs is None else Exactly(runs, processes)


def runs_a_block(run_ms: float) -> int:
    """Return how many runs of this length make a block."""
    fewest = SLOW_RUNS if run_ms > SLOW_MS else BLOCK_RUNS
    return max(fewest, min(MAX_BLOCK_RUNS, math.ceil(BLOCK_MS / max(run_ms, 1e-3))))


def uncounted_runs(run_ms: float) -> int:
    """Return how many runs come before those of a block, since others had the caches meanwhile.

    Measured on a 2-core x86-64, in turn with a model of 14 MB: where a run takes 0.4 ms, the first takes 37 %
    more than the tenth, the third 7 % and the fifth 2 %; where it takes 2 ms, the first two take 5 % more.
    """
    return 1 if run_ms > SLOW_MS else max(2, min(50, round(2 / max(run_ms, 1e-3))))


class UntilKnown:
    """Goes on until the median's 95 % interval is HALF_WIDTH to both sides, or the time is used up."""

    def __init__(self, processes: int) -> None:
        """Share the time out among the processes."""
        self._processes = processes
        self._share = 0.0

    def begin(self, sittings: Sequence[Sitting]) -> None:
        """See Pace."""
        self._share = (sittings[0].process + 1) / self._processes

    def next_runs(self, contender: Contender) -> int:
        """See Pace; every process gets a block."""
        sitting = contender.sittings[-1]
        seconds = sum(each.seconds for each in contender.sittings)
        runs = sum(each.runs for each in contender.sittings)
        is_late = seconds >= MAX_SECONDS * self._share or runs >= MAX_RUNS * self._share
        if sitting.turns and is_late:
            return 0
        return runs_a_block(sitting.warm_up.run_ms)

    def wants_more(self, contender: Contender) -> bool:
        """See Pace."""
        if not self.next_runs(contender):
            return False
        runs = sum(sitting.runs for sitting in contender.sittings)
        if len(contender.sittings[-1].turns) < MIN_BLOCKS or runs < MIN_RUNS * self._share:
            return True
        # Of the blocks so far: that processes differ is not cured by more of them.
        medians = [np.array([turn.median]) for turn in contender.turns]
        low, high = median_interval([medians], _SAMPLES)
        # After the first of n processes the interval may be as wide as the others will then make good.
        return (high - low) / 2 > HALF_WIDTH / math.sqrt(self._share) * float(np.median(medians))


class Exactly:
    """Shares `runs` out among the processes, and in each of these evenly among the rounds."""

    def __init__(self, runs: int, processes: int) -> None:
        """Take the number of runs of each task."""
        self._runs, self._processes = runs, processes
        self._share = 0
        self._rounds = 1

    def begin(self, sittings: Sequence[Sitting]) -> None:
        """See Pace; the slowest model decides on the number of rounds, so that all are in each."""
        rest = self._runs % self._processes
        self._share = self._runs // self._processes + (sittings[0].process < rest)
        slowest = max(sitting.warm_up.run_ms for sitting in sittings)
        self._rounds = max(1, min(_MAX_ROUNDS, self._share // runs_a_block(slowest)))

    def next_runs(self, contender: Contender) -> int:
        """See Pace."""
        sitting = contender.sittings[-1]
        return math.ceil((self._share - sitting.runs) / max(1, self._rounds - len(sitting.turns)))

    def wants_more(self, contender: Contender) -> bool:
        """See Pace."""
        return self.next_runs(contender) > 0
