"""Whether a latency changed or was only measured again: few processes, and a machine that others use too.

Where a process's memory happens to lie moves all its times, so processes are what is counted, not runs. Three
of them don't tell their own spread, so it is moderated: averaged with what is usual, as G. K. Smyth does it
(Stat. Appl. Genet. Mol. Biol. 3 (2004) 3, section 3). Other programs only ever add time: a process's level is
therefore the lower quartile of its blocks, which they move half as much as the median.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...edge.statistics.student import t_p_value, t_quantile
from .result import Interval, Result

# What is usual: the standard deviation (of logarithms) between processes of one run of edge-benchmark, which
# counts as much as this many degrees of freedom, and what whole runs differ by beyond that.
PROCESS_SD, PRIOR_FREEDOM, RUN_SD = 0.015, 6, 0.005
# The quartile of a normal distribution in its standard deviations, and the variance of the lower quartile of
# n values as a multiple of the values' own over n: p (1 - p) / density^2 there.
_QUARTILE, _QUARTILE_VARIANCE = 0.6744897501960817, 1.8568


@dataclass(frozen=True)
class Level:
    """The logarithm of one process's time, or of its ratio to the yardstick, and that figure's variance."""

    log: float
    variance: float


@dataclass(frozen=True)
class Levels:
    """All processes of one subject, of `runs` calls of edge-benchmark."""

    processes: tuple[Level, ...]
    runs: int = 1


@dataclass(frozen=True)
class Estimate:
    """A change as a fraction, its 95 % interval, and the two-sided p-value of none."""

    change: float
    ci95: Interval
    p_value: float


def levels(results: Sequence[Result], relative: bool) -> Levels:
    """Return what the processes of one subject's results took.

    With `relative`, as multiples of the yardstick's time, which each result then has.
    """
    found = [_relative(result) if relative else map(_level, result.latency.blocks) for result in results]
    return Levels(tuple(level for processes in found for level in processes), len(results))


def estimate_change(before: Levels, after: Levels) -> Estimate:
    """Return how much more time `after` took; both have at least one process."""
    sides = [np.array([level.log for level in side.processes]) for side in (before, after)]
    freedom = sum(len(side) - 1 for side in sides)
    spread = sum(float(((side - side.mean()) ** 2).sum()) for side in sides)
    within = float(np.mean([level.variance for side in (before, after) for level in side.processes]))
    usual = PROCESS_SD**2 + within
    variance = (PRIOR_FREEDOM * usual + spread) / (PRIOR_FREEDOM + freedom)
    error = math.sqrt(
        sum(variance / len(side) for side in sides) + RUN_SD**2 * (1 / before.runs + 1 / after.runs)
    )
    shift = float(sides[1].mean() - sides[0].mean())
    half = t_quantile(0.05, PRIOR_FREEDOM + freedom) * error
    return Estimate(
        math.expm1(shift),
        (math.expm1(shift - half), math.expm1(shift + half)),
        t_p_value(shift / error, PRIOR_FREEDOM + freedom),
    )


def _relative(result: Result) -> list[Level]:
    """Return the multiple of the yardstick's level by process.

    Where it took no part in some round, its own times aren't known: then the median of the ratios is taken.
    """
    assert result.yardstick is not None
    times, ratios = result.latency.blocks, result.yardstick.blocks
    if [len(process) for process in times] != [len(process) for process in ratios]:
        return [_level(process, 50) for process in ratios]
    found = []
    for own, multiples in zip(times, ratios, strict=True):
        mine = _level(own)
        other = _level([time / multiple for time, multiple in zip(own, multiples, strict=True)])
        found.append(Level(mine.log - other.log, mine.variance + other.variance))
    return found


def _level(times: Sequence[float], percent: float = 25) -> Level:
    """Return a percentile of a process's blocks; its error from their spread below the median."""
    level, low, middle = np.percentile(np.log(times), (percent, 25, 50))
    deviation = (middle - low) / _QUARTILE
    return Level(float(level), float(_QUARTILE_VARIANCE * deviation**2 / len(times)))
