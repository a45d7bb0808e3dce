"""Compares two sets of results: whether latency changed, what else got worse, what weakens the verdict."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from statistics import median

from ...edge.errors import BenchmarkError, OptionError
from ...edge.statistics.paired import describe_p
from ...edge.statistics.proportions import two_proportions_p
from ..host import Host
from .comparison import Comparison, LatencyChange, Pair, Worsening
from .machines import Side, common_devices, is_of, sides
from .noise import Estimate, estimate_change, levels
from .result import Failure, MeasuredAccuracy, Result

# A change from one measurement to the next with a smaller p-value is no chance. With the limit of 5 %, one in
# some thousand simulated runs of an unchanged model is then called slower, and nearly all that are 10 %
# slower are found (tests/test_results_noise.py).
REGRESSION_LEVEL = 0.01
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
    real = estimate.p_value < REGRESSION_LEVEL
    if real and factor / after > most:
        return "slower"
    if real and factor * before < 1 / most:
        return "faster"
    return "same" if 1 / most < low and high * before < most else "unclear"


# A p99 this many times as long is worse, of at least so many runs and without neighbours: less may be chance.
_TAIL, _TAIL_RUNS = 3.0, 500
_MEMORY_FLOOR_MB = 2.0  # Peak memory varies by as much from run to run.


def find_worse(old: Result, new: Result, latency: LatencyChange, limit: float) -> Iterator[Worsening]:
    """Yield what got worse than `limit`, a fraction, allows; of accuracy, whatever is no chance."""
    name = new.subject.file
    if latency.verdict == "slower":
        low, high = latency.ci95
        same = "; its file is the same as before" if old.subject.sha256 == new.subject.sha256 else ""
        text = f"{name} is {latency.change:.1%} slower (95 % interval {low:+.1%} to {high:+.1%}){same}"
        yield Worsening("slower", text)
    if _longer_tail(old, new, latency):
        was, now = old.latency.p99_ms, new.latency.p99_ms
        yield Worsening(
            "tail", f"{name} has a p99 of {now:.2f} ms, {now / was:.1f} times the {was:.2f} ms before"
        )
    was_bytes, now_bytes = old.subject.size_bytes, new.subject.size_bytes
    if now_bytes > was_bytes * (1 + limit):
        grown = f"{was_bytes / 1e6:.2f} to {now_bytes / 1e6:.2f} MB"
        yield Worsening("larger", f"{name} has grown from {grown}")
    if old.memory and new.memory:
        was, now = old.memory.peak, new.memory.peak
        if now > was * (1 + limit) and now - was > _MEMORY_FLOOR_MB:
            yield Worsening("memory", f"{name} has a peak memory of {now:.1f} MB; it was {was:.1f} MB")
    if old.accuracy and new.accuracy and same_images(old.accuracy, new.accuracy):
        p_value = top1_p_value(old.accuracy, new.accuracy)
        if new.accuracy.top1 < old.accuracy.top1 and p_value < REGRESSION_LEVEL:
            fall = f"from {old.accuracy.top1:.2%} to {new.accuracy.top1:.2%}"
            images = f"{new.accuracy.images:,} images"
            text = f"{name} is less accurate: top-1 fell {fall} on {images} ({describe_p(p_value)})"
            yield Worsening("less accurate", text)


def same_images(old: MeasuredAccuracy, new: MeasuredAccuracy) -> bool:
    """Return whether two scores may be compared: as many images of the same classes.

    The folder's name says nothing: a data set lies elsewhere on another machine.
    """
    classes = [{c.label: c.support for c in accuracy.classes} for accuracy in (old, new)]
    return old.images == new.images and classes[0] == classes[1]


def top1_p_value(old: MeasuredAccuracy, new: MeasuredAccuracy) -> float:
    """Return the two-sided p-value of equally good models, from their right answers alone.

    The answers to single images aren't known: a paired test would find smaller differences.
    """
    right = (round(old.top1 * old.images), round(new.top1 * new.images))
    return two_proportions_p(right, (old.images, new.images))


def _longer_tail(old: Result, new: Result, latency: LatencyChange) -> bool:
    quiet = possible_slowdown(new, latency.basis == "yardstick") == 1
    enough = min(old.latency.runs, new.latency.runs) >= _TAIL_RUNS
    return quiet and enough and new.latency.p99_ms > _TAIL * old.latency.p99_ms


def differ(old: Sequence[Result], new: Sequence[Result]) -> bool:
    """Return whether the results are of several machines."""
    return len({result.host.fingerprint for result in (*old, *new)}) > 1


def describe_machine(results: Sequence[Result]) -> str:
    """Return what machine results are of, and its fingerprint; the last, where they are of several."""
    host: Host = results[-1].host
    memory = f", {host.memory_mb / 1000:.1f} GB" if host.memory_mb else ""
    return f"{host.name} ({host.architecture}, {host.cores} cores{memory}; {host.fingerprint})"


def about_machines(before: Sequence[Result | Failure], after: Sequence[Result | Failure]) -> Iterator[str]:
    """Yield what is different of each device that both sets have results of."""
    for device, (old, new) in common_devices(before, after).items():
        where = f"{device}: " if device else ""
        if differ(old, new):
            both = f"before: {describe_machine(old)}; now: {describe_machine(new)}"
            yield f"{where}two machines, whose times are compared as they are: {both}"
        for name, was, now in (
            ("system", old[-1].host.system, new[-1].host.system),
            ("Python", old[-1].host.python, new[-1].host.python),
            ("edge-classify", old[-1].origin.version, new[-1].origin.version),
        ):
            if was != now:
                yield f"{where}another version of {name}: {was} before, {now} now"


def about_superseded(old: Side, new: Side) -> Iterator[str]:
    """Yield what is left out of either set."""
    for name, side in (("before", old), ("now", new)):
        if side.superseded:
            files = ", ".join(dict.fromkeys(result.subject.file for result in side.superseded))
            yield (
                f"{name}: older results of {files} are left out: the model, the runtime or the machine "
                "changed in between"
            )


def about_pair(
    before: Sequence[Result], after: Sequence[Result], latency: LatencyChange, limit: float
) -> Iterator[str]:
    """Yield what weakens the comparison of one subject, and how to get a clearer one."""
    old, new = before[-1], after[-1]
    same_machine = not differ(before, after)
    if old.subject.runtime != new.subject.runtime:
        yield f"run by {old.subject.runtime} before, by {new.subject.runtime} now"
    if latency.basis == "medians" and same_machine:
        yield "not beside the same yardstick: the change holds what the machine itself has changed by"
    if latency.verdict == "unclear":
        yield _unclear((*before, *after), latency, limit)
    if old.accuracy and new.accuracy and not same_images(old.accuracy, new.accuracy):
        yield "scored on other images than before: accuracies are not compared"


def _unclear(results: Sequence[Result], latency: LatencyChange, limit: float) -> str:
    low, high = latency.ci95
    way = "faster" if high < 0 else "slower"
    told = f"whether it is more than {limit * 100:g}% {way} cannot be told ({low:+.1%} to {high:+.1%})"
    if any(possible_slowdown(result, latency.basis == "yardstick") > 1 for result in results):
        return f"{told}, since what the warnings name may be the reason: see to that, and measure again"
    return f"{told}: measure once more, and join the files: results of one model count together"


DEFAULT_LIMIT = 0.05  # What a change is measured by where nothing is to be judged.
_MOST_PER_CENT = 1000


def compare(
    before: Sequence[Result | Failure], after: Sequence[Result | Failure], limit: float | None = None
) -> Comparison:
    """Pair the results of each subject, and tell what changed.

    `limit` is the largest change for the worse that is allowed, a fraction; None: nothing is a regression,
    and verdicts are by 5 %. Raises BenchmarkError when the two have no subject in common.
    """
    old, new = sides(before, after)
    broken = tuple(f for f in new.failures if any(is_of(f, r[-1]) for r in old.subjects.values()))
    common = [key for key in new.subjects if key in old.subjects]
    if not common and not broken:
        raise BenchmarkError(
            "The two sets of results have no model in common that was run alike: "
            f"before: {_names(before)}; after: {_names(after)}"
        )
    most = DEFAULT_LIMIT if limit is None else limit
    only_before = tuple(results[-1] for key, results in old.subjects.items() if key not in new.subjects)
    return Comparison(
        pairs=tuple(_pair(old.subjects[key], new.subjects[key], most) for key in common),
        limit=limit,
        only_before=tuple(r for r in only_before if not any(is_of(f, r) for f in broken)),
        only_after=tuple(results[-1] for key, results in new.subjects.items() if key not in old.subjects),
        broken=broken,
        failing=tuple(f for f in new.failures if f not in broken),
        remarks=(*about_machines(before, after), *about_superseded(old, new)),
    )


def check(
    baseline: Sequence[Result | Failure],
    now: Sequence[Result | Failure],
    max_regression: float,
    force: bool = False,
) -> Comparison:
    """Compare with results that were kept for it; `max_regression` is a fraction.

    Raises BenchmarkError when they are of another machine, unless `force`, or have no subject in common.
    """
    if not force:
        for device, (old, new) in common_devices(baseline, now).items():
            if differ(old, new):
                raise BenchmarkError(
                    f"The baseline{f' of {device}' if device else ''} is of another machine: "
                    f"{describe_machine(old)}. Now: {describe_machine(new)}. "
                    "Measure a baseline on this one, or compare nevertheless with --force"
                )
    return compare(baseline, now, max_regression)


def parse_share(text: str, option: str = "--max-regression") -> float:
    """Read a percentage such as "5%" as a fraction.

    Raises OptionError for anything else: 0.05 may be meant as 5 % or as 0.05 %.
    """
    match = re.fullmatch(r"\s*(\d{1,4}(?:\.\d{1,6})?)\s*%\s*", text, re.ASCII)
    if match is None or float(match[1]) > _MOST_PER_CENT:
        raise OptionError(
            f"{option} must be a percentage with its sign, such as 5%, of at most {_MOST_PER_CENT}%. "
            f"Received: {text!r}"
        )
    return float(match[1]) / 100


def _pair(before: Sequence[Result], after: Sequence[Result], limit: float) -> Pair:
    old, new = before[-1], after[-1]
    latency = judge_latency(before, after, limit)
    warned = [{caveat.kind for caveat in result.conditions.warnings} for result in (old, new)]
    return Pair(
        before=old,
        after=new,
        latency=latency,
        findings=tuple(find_worse(old, new, latency, limit)),
        new_warnings=tuple(c for c in new.conditions.warnings if c.kind not in warned[0]),
        gone_warnings=tuple(c for c in old.conditions.warnings if c.kind not in warned[1]),
        remarks=tuple(about_pair(before, after, latency, limit)),
    )


def _names(results: Sequence[Result | Failure]) -> str:
    names = dict.fromkeys(result.file for result in results)
    shown = ", ".join(list(names)[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown or "none"
