"""The number of threads, measured with the model on the machine as it is now.

Measuring is the only way to know it: two threads nearly halve the time of an inference on a quiet machine,
but take twice as long as one when another program uses the other core.
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
# More threads must be this much faster to be chosen, since they take cores from other programs.
WORTHWHILE = 1.1
BUDGET_S = 1.0
_MIN_ROUNDS, _MAX_ROUNDS = 3, 15
_ROUND_S = 0.02  # In less time the start of the threads would count.


@dataclass(frozen=True)
class Parallelism:
    """A number of workers, each with its own classifier, and the threads of each interpreter."""

    workers: int
    threads: int

    def __str__(self) -> str:
        """Return "2 workers" or "2 threads": only one of the two numbers is ever above 1."""
        count, noun = (self.workers, "worker") if self.workers > 1 else (self.threads, "thread")
        return f"{count} {noun}{'s' if count > 1 else ''}"


@dataclass(frozen=True)
class Choice:
    """What was chosen, and the inferences per second of each candidate, simplest first."""

    chosen: Parallelism
    rates: tuple[tuple[Parallelism, float], ...]

    def describe(self) -> str:
        """Return a sentence for people."""
        if not self.rates:
            return f"{self.chosen}, since there is one core"
        measured = ", ".join(f"{size}: {rate:.0f}" for size, rate in self.rates)
        return f"{self.chosen} chosen. Inferences per second: {measured}"


def choose_threads(make: Make, count: int | None = None, clock: Clock = time.perf_counter) -> Choice:
    """Choose the interpreter's threads for a source of one picture after the other, such as a camera.

    `make` takes a number of threads and returns a classifier. `count` is the number of cores. Takes about a
    second and the time of loading. Raises as `make` and classify_pixels do.
    """
    counts = _counts(count or cores())
    return _choose([_Team(Parallelism(1, threads), [make(threads)], clock) for threads in counts])


def choose_parallelism(make: Make, count: int | None = None, clock: Clock = time.perf_counter) -> Choice:
    """Choose how many workers classify a folder, each with an interpreter of one thread.

    That is one per core, or fewer where other programs use the cores. Workers with more threads are not
    tried, since threads wait for each other at every layer. Parameters and errors are those of
    choose_threads.
    """
    counts = _counts(count or cores())
    first = make(1)
    classifiers = [first, *(first.clone() for _ in range(counts[-1] - 1))]
    return _choose([_Team(Parallelism(workers, 1), classifiers[:workers], clock) for workers in counts])


def _counts(count: int) -> list[int]:
    """Return the powers of 2 below `count`, and `count`."""
    doubled = [2**power for power in range(count.bit_length()) if 2**power < count]
    return [*doubled, count]


def _choose(teams: Sequence[_Team]) -> Choice:
    rates: list[list[float]] = [[] for _ in teams]
    end = time.monotonic() + BUDGET_S
    for done in range(_MAX_ROUNDS if len(teams) > 1 else 0):
        if done >= _MIN_ROUNDS and time.monotonic() > end:
            break
        for team, found in zip(teams, rates, strict=True):  # In turns, so that other programs slow all alike.
            found.append(team.rate())
    measured = tuple((team.size, median(found)) for team, found in zip(teams, rates, strict=True) if found)
    return Choice(pick(measured) if measured else teams[0].size, measured)


def pick(rates: Sequence[tuple[Parallelism, float]]) -> Parallelism:
    """Return the first candidate that no later candidate beats by WORTHWHILE; the simplest comes first."""
    best, speed = rates[0]
    for candidate, rate in rates[1:]:
        if rate >= speed * WORTHWHILE:
            best, speed = candidate, rate
    return best


class _Team:
    """Classifiers that run at the same time; a round is a number of inferences that takes _ROUND_S."""

    def __init__(self, size: Parallelism, classifiers: Sequence[Classifier], clock: Clock) -> None:
        self.size = size
        self._classifiers, self._clock = classifiers, clock
        spec = classifiers[0].spec
        self._pixels = np.zeros((spec.height, spec.width, 3), np.uint8)
        self._runs = 1
        self.rate()  # Warms up.
        self._runs = max(1, round(_ROUND_S * self.rate() / size.workers))

    def rate(self) -> float:
        """Run a round, and return the inferences per second of all classifiers together."""
        with ThreadPoolExecutor(self.size.workers) as pool:
            started = self._clock()
            list(pool.map(self._run, self._classifiers))
            elapsed = self._clock() - started
        return self._runs * self.size.workers / max(elapsed, 1e-9)

    def _run(self, classifier: Classifier) -> None:
        for _ in range(self._runs):
            classifier.classify_pixels(self._pixels)
