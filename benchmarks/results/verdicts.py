"""Whether a model became slower: more than the limit, more than chance, and not for its neighbours' sake."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from .comparison import LatencyChange
from .noise import Estimate, estimate_change, levels
from .result import Result

# Below this a change is no chance. With the limit of 5 %, one in some thousand simulated runs of an unchanged
# model is then called slower, and nearly all that are 10 % slower are found (tests/test_results_noise.py).
SIGNIFICANT = 0.01
# What a busy program on another core costs: measured on 2 cores, the multiple of the yardstick's time did not
# change by more than it does without (studies/neighbour.py).
_SHARED_CACHES = 1.03


def judge_latency(before: Sequence[Result], after: Sequence[Result], limit: float) -> LatencyChange:
    """Compare the results of one subject, oldest first: those of each side count together.

    `limit` is a fraction. Where all were measured beside the same yardstick, by the same runtime on the same
    machine, the change is of the multiple of its time; else of the times.
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


def possible_slowdown(result: Result, relative: bool) -> float:
    """Return by which factor at most other things slowed a measurement down; 1 where nothing was noticed.

    Programs that keep n cores busy leave one thread the rest of the cores, and 1 / (1 + n) of one at least
    where the system shares fairly. As long as that is a whole one they only share caches with it. Several
    threads wait for the one that is shared, and were seen to be slower than one. What lowers the clock slows
    the yardstick as well, to which the time is `relative`.
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


def comparable_yardsticks(before: Sequence[Result], after: Sequence[Result]) -> bool:
    """Return whether all were measured beside the same model, run by the same runtime on the same machine."""
    every = [*before, *after]
    found = {(r.yardstick and r.yardstick.sha256, r.subject.runtime, r.host.fingerprint) for r in every}
    return len(found) == 1 and every[0].yardstick is not None


def _verdict(estimate: Estimate, limit: float, before: float, after: float) -> str:
    """`before` and `after` are the factors by which the two may have been slowed down.

    A side that was, was in truth faster: that may undo "slower" where it is the later one, and "faster" or
    "same" where it is the earlier one.
    """
    most = 1 + limit
    factor, low, high = 1 + estimate.change, 1 + estimate.ci95[0], 1 + estimate.ci95[1]
    real = estimate.p_value < SIGNIFICANT
    if real and factor / after > most:
        return "slower"
    if real and factor * before < 1 / most:
        return "faster"
    return "same" if 1 / most < low and high * before < most else "unclear"
