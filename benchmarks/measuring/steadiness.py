"""Whether times have come to rest."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from .messages import WarmUp

# Longer than the ticks by which systems share out a processor and choose its clock, 1 to 10 ms.
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

    A slow model is given two windows of one run each, however impatient. The windows that agree count as
    warm-up too.
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
            # Where patience ends early, fewer windows have to do.
            return WarmUp(runs, len(levels) < WINDOWS and agree(levels), levels[-1])


def level(window: Sequence[float]) -> float:
    """Return the time that a tenth of a window's runs stay below.

    What a model warms up, clock and caches, is in all runs; what other programs take is in most at worst, and
    would move a median.
    """
    return sorted(window)[(len(window) - 1) // 10]


def agree(levels: Sequence[float]) -> bool:
    """Return whether the highest is at most TOLERANCE above the lowest."""
    return max(levels) <= min(levels) * (1 + TOLERANCE)


def _window(run: Callable[[], object], clock: Callable[[], float], deadline: float) -> list[float]:
    """Return the times in ms of as many runs as make a window; past `deadline`, of a single one."""
    window: list[float] = []
    while not window or (clock() < deadline and (len(window) < WINDOW_RUNS or sum(window) < WINDOW_MS)):
        started = clock()
        run()
        window.append((clock() - started) * 1000)
    return window


def drift(medians: Sequence[float]) -> float | None:
    """Return by what share blocks' medians rose or fell from the first third to the last; None: they did not.

    That takes DRIFT or more, and a trend by the test of H. B. Mann, Econometrica 13 (1945) 245: the number
    of pairs that rose less those that fell has the variance n (n - 1) (2 n + 5) / 18 where there is none.
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
