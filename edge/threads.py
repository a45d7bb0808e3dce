"""How many threads: measured on the model and the machine as they are now, since nothing else tells.

Two threads nearly halve the time of an inference on a quiet machine, and with a neighbour on the other core
they take twice as long as one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

import numpy as np

from .classifier import Classifier
from .cores import cores

Make = Callable[[int], Classifier]
Clock = Callable[[], float]
# More must be this much faster to be taken: what it takes away from others is certain.
WORTHWHILE = 1.1
BUDGET_S = 1.0
_MIN_ROUNDS, _MAX_ROUNDS = 3, 15
_ROUND_S = 0.02  # Shorter ones would measure the start of threads.


@dataclass(frozen=True)
class Parallelism:
    """So many workers, each with a classifier of its own whose interpreter has so many threads."""

    workers: int
    threads: int

    def __str__(self) -> str:
        """Return "2 workers" or "2 threads": only one of both is ever above 1."""
        count, noun = (self.workers, "worker") if self.workers > 1 else (self.threads, "thread")
        return f"{count} {noun}{'s' if count > 1 else ''}"


@dataclass(frozen=True)
class Choice:
    """What was chosen, and the inferences a second of each candidate, simplest first."""

    chosen: Parallelism
    rates: tuple[tuple[Parallelism, float], ...]

    def describe(self) -> str:
        """Return a sentence for people."""
        if not self.rates:
            return f"{self.chosen}, since there is one core"
        measured = ", ".join(f"{size}: {rate:.0f}" for size, rate in self.rates)
        return f"{self.chosen} chosen. Inferences a second: {measured}"


def choose_threads(make: Make, count: int | None = None, clock: Clock = time.perf_counter) -> Choice:
    """Choose the interpreter's threads for one picture after the other, as of a camera.

    `make` returns a classifier whose interpreter has so many threads. Takes about a second beside loading.
    Raises as `make` and classify_pixels do.
    """
    counts = _counts(count or cores())
    return _choose([_Team(Parallelism(1, threads), [make(threads)], clock) for threads in counts])


def choose_parallelism(make: Make, count: int | None = None, clock: Clock = time.perf_counter) -> Choice:
    """Choose how many workers classify a folder, each with an interpreter of one thread.

    That is one a core, unless a neighbour is busy there: then fewer do as much. Workers with more threads are
    not tried, since threads wait for each other at every layer. As choose_threads in all else.
    """
    counts = _counts(count or cores())
    first = make(1)
    all_of_them = [first, *(first.clone() for _ in range(counts[-1] - 1))]
    return _choose([_Team(Parallelism(workers, 1), all_of_them[:workers], clock) for workers in counts])


def _counts(count: int) -> list[int]:
    """Return 1, 2, 4 and so on, and the number of cores."""
    doubled = [2**power for power in range(count.bit_length()) if 2**power < count]
    return [*doubled, count]


def _choose(teams: Sequence[_Team]) -> Choice:
    rates: list[list[float]] = [[] for _ in teams]
    end = time.monotonic() + BUDGET_S
    for done in range(_MAX_ROUNDS if len(teams) > 1 else 0):
        if done >= _MIN_ROUNDS and time.monotonic() > end:
            break
        for team, found in zip(teams, rates, strict=True):  # In turns, so that all see the same neighbours.
            found.append(team.rate())
    measured = tuple((team.size, median(found)) for team, found in zip(teams, rates, strict=True) if found)
    return Choice(pick(measured) if measured else teams[0].size, measured)


def pick(rates: Sequence[tuple[Parallelism, float]]) -> Parallelism:
    """Return the first candidate that no later one beats by WORTHWHILE; they come simplest first."""
    best, speed = rates[0]
    for candidate, rate in rates[1:]:
        if rate >= speed * WORTHWHILE:
            best, speed = candidate, rate
    return best


class _Team:
    """Classifiers that run at the same time, for a number of inferences that makes a round."""

    def __init__(self, size: Parallelism, classifiers: Sequence[Classifier], clock: Clock) -> None:
        self.size = size
        self._classifiers, self._clock = classifiers, clock
        spec = classifiers[0].spec
        self._pixels = np.zeros((spec.height, spec.width, 3), np.uint8)
        self._runs = 1
        self.rate()  # Warms up.
        self._runs = max(1, round(_ROUND_S * self.rate() / size.workers))

    def rate(self) -> float:
        """Return the inferences a second of all together."""
        with ThreadPoolExecutor(self.size.workers) as pool:
            started = self._clock()
            list(pool.map(self._run, self._classifiers))
            elapsed = self._clock() - started
        return self._runs * self.size.workers / max(elapsed, 1e-9)

    def _run(self, classifier: Classifier) -> None:
        for _ in range(self._runs):
            classifier.classify_pixels(self._pixels)
