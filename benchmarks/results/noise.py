"""Whether a latency changed, or was only measured again: few processes, on a machine that others use too.

The place where the memory of a process happens to lie moves all its times. So processes are the units that
are counted, not runs. Three of them do not show how much processes differ, so their variance is moderated:
averaged with what is usual, as G. K. Smyth does it (Stat. Appl. Genet. Mol. Biol. 3 (2004) 3, section 3).
Other programs only ever add time: the level of a process is therefore the lower quartile of its blocks, which
they move half as much as the median.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np

from ...edge.statistics.student import t_p_value, t_quantile
from .result import Interval, Latency, Result, Yardstick

# slower, faster: by more than the limit, and not by chance. same: the 95 % interval lies within the limit.
# unclear: neither of these.
Verdict = Literal["slower", "faster", "same", "unclear"]
# yardstick: the multiples of the yardstick's time are compared. medians: the times themselves.
Basis = Literal["yardstick", "medians"]
# A change from one measurement to the next with a smaller p-value is no chance. With the limit of 5 %, one in
# some thousand simulated runs of an unchanged model is then called slower, and nearly all that are 10 %
# slower are found (tests/test_results_noise.py).
REGRESSION_LEVEL = 0.01
# What is usual: the standard deviation (of logarithms) between processes of one run of edge-benchmark, which
# counts as much as this many degrees of freedom, and what whole runs differ by beyond that.
PROCESS_SD, PRIOR_FREEDOM, RUN_SD = 0.015, 6, 0.005
# The quartile of a normal distribution in its standard deviations, and the variance of the lower quartile of
# n values as a multiple of the values' own variance over n: p (1 - p) / density^2 there.
_QUARTILE, _QUARTILE_VARIANCE = 0.6744897501960817, 1.8568
# What a busy program on another core costs: measured on 2 cores, the multiple of the yardstick's time did not
# change by more than it does without (studies/neighbour.py).
_SHARED_CACHES = 1.03


@dataclass(frozen=True)
class LatencyChange:
    """How the median changed; `change` is a fraction: 0.1 means a tenth slower.

    On the basis of the yardstick, `change` differs from `after_ms / before_ms` by the factor by which the
    machine itself became slower or faster. `p_value` is two-sided, of no change.
    """

    before_ms: float
    after_ms: float
    change: float
    ci95: Interval
    p_value: float
    basis: Basis
    verdict: Verdict


@dataclass(frozen=True)
class Level:
    """The logarithm of the time of one process, or of its ratio to the yardstick, and its variance."""

    log: float
    variance: float


@dataclass(frozen=True)
class Levels:
    """All processes of one subject, from `runs` calls of edge-benchmark."""

    processes: tuple[Level, ...]
    runs: int = 1


@dataclass(frozen=True)
class Estimate:
    """A change as a fraction, its 95 % interval, and the two-sided p-value of no change."""

    change: float
    ci95: Interval
    p_value: float


def judge_latency(before: Sequence[Result], after: Sequence[Result], limit: float) -> LatencyChange:
    """Compare the results of one subject, oldest first; the results of each side count together.

    `limit` is a fraction. Where all were measured beside the same yardstick, by the same runtime on the same
    machine, the multiples of its time are compared, else the times.
    """
    relative = comparable_yardsticks(before, after)
    estimate = estimate_change(levels(before, relative), levels(after, relative))
    slowed = [max(possible_slowdown(r, relative) for r in side) for side in (before, after)]
    return LatencyChange(
        before_ms=median(r.latency.median_ms for r in before),
        after_ms=median(r.latency.median_ms for r in after),
        change=estimate.change,
        ci95=estimate.ci95,
        p_value=estimate.p_value,
        basis="yardstick" if relative else "medians",
        verdict=_verdict(estimate, limit, *slowed),
    )


def comparable_yardsticks(before: Sequence[Result], after: Sequence[Result]) -> bool:
    """Return whether all were measured beside the same model, run by the same runtime on the same machine."""
    every = [*before, *after]
    found = {(r.yardstick and r.yardstick.sha256, r.subject.runtime, r.host.fingerprint) for r in every}
    return len(found) == 1 and every[0].yardstick is not None


def possible_slowdown(result: Result, relative: bool) -> float:
    """Return the largest factor by which disturbances slowed a measurement down; 1 where there was none.

    Programs that keep n cores busy leave one thread the rest of the cores, and at least 1 / (1 + n) of a core
    where the system shares fairly. As long as a whole core is left, they only share caches with the model.
    Several threads wait for the slowest of them, and were seen to be slower than one. A lower clock slows the
    yardstick as well, so it does not count where times are `relative` to that.
    """
    kinds = {caveat.kind for caveat in result.conditions.warnings}
    if "swap" in kinds or (not relative and kinds & {"clock", "hot", "throttled"}):
        return math.inf
    busy = result.conditions.neighbours
    if "neighbours" not in kinds or not busy:
        return 1.0
    threads, cores = result.subject.threads, result.host.cores
    if threads > 1 and threads + busy > cores:
        return (1 + busy) * threads
    share = max(cores - busy, 1 / (1 + busy))
    return max(_SHARED_CACHES, 1 / share)


def estimate_change(before: Levels, after: Levels) -> Estimate:
    """Return how much more time `after` took; both sides need at least one process."""
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


def levels(results: Sequence[Result], relative: bool) -> Levels:
    """Return the levels of all processes of one subject's results.

    With `relative` they are multiples of the yardstick's, for each result that was measured beside one.
    """
    found = [
        _relative(result.latency, result.yardstick)
        if relative and result.yardstick is not None
        else [_level(process) for process in result.latency.blocks]
        for result in results
    ]
    return Levels(tuple(level for processes in found for level in processes), len(results))


def _verdict(estimate: Estimate, limit: float, before: float, after: float) -> Verdict:
    """`before` and `after` are the factors by which the two sides may have been slowed down.

    The model itself is faster than on a side that was slowed down: that may undo "slower" where it is the
    later side, and "faster" or "same" where it is the earlier side.
    """
    most = 1 + limit
    factor, low, high = 1 + estimate.change, 1 + estimate.ci95[0], 1 + estimate.ci95[1]
    real = estimate.p_value < REGRESSION_LEVEL
    if real and factor / after > most:
        return "slower"
    if real and factor * before < 1 / most:
        return "faster"
    return "same" if 1 / most < low and high * before < most else "unclear"


def _relative(latency: Latency, yardstick: Yardstick) -> list[Level]:
    """Return the level of each process as a multiple of the yardstick's.

    Where the yardstick missed a round, its own times are not known: then the median of the ratios is taken.
    """
    times, ratios = latency.blocks, yardstick.blocks
    if [len(process) for process in times] != [len(process) for process in ratios]:
        return [_level(process, 50) for process in ratios]
    found = []
    for own, multiples in zip(times, ratios, strict=True):
        mine = _level(own)
        other = _level([time / multiple for time, multiple in zip(own, multiples, strict=True)])
        found.append(Level(mine.log - other.log, mine.variance + other.variance))
    return found


def _level(times: Sequence[float], percent: float = 25) -> Level:
    """Return a percentile of the blocks of a process, and its variance from their spread below the median."""
    level, low, middle = np.percentile(np.log(times), (percent, 25, 50))
    deviation = (middle - low) / _QUARTILE
    return Level(float(level), float(_QUARTILE_VARIANCE * deviation**2 / len(times)))
