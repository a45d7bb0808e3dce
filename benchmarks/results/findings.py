"""What else got worse: tails, size, memory, answers."""

from __future__ import annotations

import math
from collections.abc import Iterator

from .comparison import Finding, LatencyChange
from .result import Result
from .sections import Accuracy
from .verdicts import SIGNIFICANT, possible_slowdown

# A p99 this many times as long is worse, of at least so many runs and without neighbours: less may be chance.
_TAIL, _TAIL_RUNS = 3.0, 500
_MEMORY_FLOOR_MB = 2.0  # Peak memory varies by as much from run to run.


def find_worse(old: Result, new: Result, latency: LatencyChange, limit: float) -> Iterator[Finding]:
    """Yield what got worse than `limit`, a fraction, allows; of accuracy, whatever is no chance."""
    name = new.subject.file
    if latency.verdict == "slower":
        low, high = latency.ci95
        same = "; its file is the same as before" if old.subject.sha256 == new.subject.sha256 else ""
        text = f"{name} is {latency.change:.1%} slower (95 % interval {low:+.1%} to {high:+.1%}){same}"
        yield Finding("slower", text)
    if _longer_tail(old, new, latency):
        was, now = old.latency.p99_ms, new.latency.p99_ms
        yield Finding(
            "tail", f"{name} has a p99 of {now:.2f} ms, {now / was:.1f} times the {was:.2f} ms before"
        )
    was_bytes, now_bytes = old.subject.size_bytes, new.subject.size_bytes
    if now_bytes > was_bytes * (1 + limit):
        grown = f"{was_bytes / 1e6:.2f} to {now_bytes / 1e6:.2f} MB"
        yield Finding("larger", f"{name} has grown from {grown}")
    if old.memory and new.memory:
        was, now = old.memory.peak, new.memory.peak
        if now > was * (1 + limit) and now - was > _MEMORY_FLOOR_MB:
            yield Finding("memory", f"{name} has a peak memory of {now:.1f} MB; it was {was:.1f} MB")
    if old.accuracy and new.accuracy and same_images(old.accuracy, new.accuracy):
        p_value = top1_p_value(old.accuracy, new.accuracy)
        if new.accuracy.top1 < old.accuracy.top1 and p_value < SIGNIFICANT:
            fall = f"from {old.accuracy.top1:.2%} to {new.accuracy.top1:.2%}"
            images = f"{new.accuracy.images:,} images"
            text = f"{name} is less accurate: top-1 fell {fall} on {images} (p = {p_value:.2g})"
            yield Finding("less accurate", text)


def same_images(old: Accuracy, new: Accuracy) -> bool:
    """Return whether two scores may be compared: as many images of the same classes.

    The folder's name says nothing: a data set lies elsewhere on another machine.
    """
    classes = [{c.label: c.support for c in accuracy.classes} for accuracy in (old, new)]
    return old.images == new.images and classes[0] == classes[1]


def top1_p_value(old: Accuracy, new: Accuracy) -> float:
    """Return the two-sided p-value of equally good models, from their right answers alone.

    The answers to single images aren't known: a paired test would find smaller differences.
    """
    right = (round(old.top1 * old.images), round(new.top1 * new.images))
    return two_proportions_p(right, (old.images, new.images))


def two_proportions_p(successes: tuple[int, int], trials: tuple[int, int]) -> float:
    """Return the two-sided p-value of two equal rates, by the z test with the pooled rate.

    It is that of the 2x2 table: K. Pearson, Philos. Mag. 50 (1900) 157.
    """
    pooled = sum(successes) / sum(trials)
    error = math.sqrt(pooled * (1 - pooled) * (1 / trials[0] + 1 / trials[1]))
    if error == 0:
        return 1.0
    z = (successes[0] / trials[0] - successes[1] / trials[1]) / error
    return math.erfc(abs(z) / math.sqrt(2))


def _longer_tail(old: Result, new: Result, latency: LatencyChange) -> bool:
    quiet = possible_slowdown(new, latency.basis == "yardstick") == 1
    enough = min(old.latency.runs, new.latency.runs) >= _TAIL_RUNS
    return quiet and enough and new.latency.p99_ms > _TAIL * old.latency.p99_ms
