"""Whether the times of a model are steady: after its warm-up, and over all its blocks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from .messages import WarmUp

# Longer than the ticks of 1 to 10 ms in which systems share a processor and choose its clock.
WINDOW_MS = 50.0
WINDOW_RUNS = 3
WINDOWS = 4
TOLERANCE = 0.03
_FEWEST_WINDOWS = 2
DRIFT = 0.05
_UNLIKELY = 2.58  # Standard deviations: 1 % of steady series have such a trend by chance.
_FEWEST_BLOCKS = 9


def warm_up(
    run: Callable[[], object], patience_s: float, clock: Callable[[], float] = time.perf_counter
) -> WarmUp:
    """Call `run` until the levels of the last WINDOWS windows agree, or for about `patience_s` seconds.

    A slow model has at least two windows of one run each. The windows that agree count as warm-up, too.
    """
    levels: list[float] = []
    runs = 0
    began = clock()
    while True:
        window = _window(run, clock, began + patience_s)
        levels.append(level(window))
        runs += len(window)
        if len(levels) >= WINDOWS and agree(levels[-WINDOWS:]):
            return WarmUp(runs, True, levels[-1])
        if clock() - began >= patience_s and len(levels) >= _FEWEST_WINDOWS:
            # Where the time is up early, fewer windows must do.
            return WarmUp(runs, len(levels) < WINDOWS and agree(levels), levels[-1])


def level(window: Sequence[float]) -> float:
    """Return the time below which a tenth of the runs of a window lie.

    A cold clock or cache slows all runs. Other programs slow most of them at worst; they would move a median.
    """
    return sorted(window)[(len(window) - 1) // 10]


def agree(levels: Sequence[float]) -> bool:
    """Return whether the highest level is at most TOLERANCE above the lowest."""
    return max(levels) <= min(levels) * (1 + TOLERANCE)


def drift(medians: Sequence[float]) -> float | None:
    """Return the share by which the medians of blocks rose or fell from the first third to the last.

    None without a drift, which is a change of at least DRIFT and a trend by the test of H. B. Mann,
    Econometrica 13 (1945) 245: without a trend, the number of pairs that rose minus that of pairs that fell
    has the variance n (n - 1) (2 n + 5) / 18.
    """
    values = np.array(medians)
    count = len(values)
    if count < _FEWEST_BLOCKS:
        return None
    first, second = np.triu_indices(count, 1)
    score = np.sign(values[second] - values[first]).sum()
    if abs(score) <= _UNLIKELY * math.sqrt(count * (count - 1) * (2 * count + 5) / 18):
        return None
    third = count // 3
    change = float(np.median(values[-third:]) / np.median(values[:third]) - 1)
    return change if abs(change) >= DRIFT else None


def _window(run: Callable[[], object], clock: Callable[[], float], deadline: float) -> list[float]:
    """Return the times in ms of the runs of one window; past `deadline`, of a single run."""
    window: list[float] = []
    while not window or (clock() < deadline and (len(window) < WINDOW_RUNS or sum(window) < WINDOW_MS)):
        started = clock()
        run()
        window.append((clock() - started) * 1000)
    return window
