"""Compares two sets of results: pairs them, and finds what got worse and what weakens the comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...edge.errors import BenchmarkError
from ...edge.statistics.paired import describe_p
from ...edge.statistics.proportions import two_proportions_p
from .comparison import Comparison, Pair, Worsening
from .machines import Side, common_devices, is_of, sides
from .noise import REGRESSION_LEVEL, LatencyChange, judge_latency, possible_slowdown
from .result import Failure, MeasuredAccuracy, Result

DEFAULT_LIMIT = 0.05  # For verdicts where no limit is given.
# A p99 that is this many times as long is worse, of at least so many runs and without neighbours: less may be
# chance.
_TAIL, _TAIL_RUNS = 3.0, 500
_MEMORY_FLOOR_MB = 2.0  # Peak memory varies by as much from run to run.


def compare(
    before: Sequence[Result | Failure], after: Sequence[Result | Failure], limit: float | None = None
) -> Comparison:
    """Pair the results of each subject, and find what changed.

    `limit` is the largest change for the worse that is allowed, a fraction; None: nothing is a regression,
    and verdicts use 5 %. Raises BenchmarkError when the two sets have no subject in common.
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
    """Compare with a baseline; `max_regression` is a fraction.

    Raises BenchmarkError when the baseline is of another machine, unless `force`, or when the two have no
    subject in common.
    """
    if not force:
        for device, (old, new) in common_devices(baseline, now).items():
            if differ(old, new):
                raise BenchmarkError(
                    f"The baseline{f' of {device}' if device else ''} is of another machine: "
                    f"{describe_machine(old)}. Now: {describe_machine(new)}. "
                    "Measure a baseline on this machine, or compare nevertheless with --force"
                )
    return compare(baseline, now, max_regression)


def find_worse(old: Result, new: Result, latency: LatencyChange, limit: float) -> Iterator[Worsening]:
    """Yield what got worse by more than `limit`, a fraction; a lower accuracy, where that is no chance."""
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
    """Return whether two scores may be compared: they are of as many images of each class.

    The name of the folder does not count: the same data set lies elsewhere on another machine.
    """
    classes = [{c.label: c.support for c in accuracy.classes} for accuracy in (old, new)]
    return old.images == new.images and classes[0] == classes[1]


def top1_p_value(old: MeasuredAccuracy, new: MeasuredAccuracy) -> float:
    """Return the two-sided p-value of equally good models, from the numbers of their right answers.

    The answers to single images are not known: a paired test would find smaller differences.
    """
    right = (round(old.top1 * old.images), round(new.top1 * new.images))
    return two_proportions_p(right, (old.images, new.images))


def about_machines(before: Sequence[Result | Failure], after: Sequence[Result | Failure]) -> Iterator[str]:
    """Yield sentences about machines and versions that differ, for each device that both sets have."""
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
    """Yield sentences about results that are left out of either set."""
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
    """Yield sentences about what weakens the comparison of one subject, and how to get a clearer one."""
    old, new = before[-1], after[-1]
    same_machine = not differ(before, after)
    if old.subject.runtime != new.subject.runtime:
        yield f"run by {old.subject.runtime} before, by {new.subject.runtime} now"
    if latency.basis == "medians" and same_machine:
        yield "not measured beside the same yardstick: the change includes that of the machine itself"
    if latency.verdict == "unclear":
        yield _unclear((*before, *after), latency, limit)
    if old.accuracy and new.accuracy and not same_images(old.accuracy, new.accuracy):
        yield "scored on other images than before: accuracies are not compared"


def differ(old: Sequence[Result], new: Sequence[Result]) -> bool:
    """Return whether the results are of several machines."""
    return len({result.host.fingerprint for result in (*old, *new)}) > 1


def describe_machine(results: Sequence[Result]) -> str:
    """Return the name of the machine of these results, the last one of several, with its fingerprint."""
    host = results[-1].host
    memory = f", {host.memory_mb / 1000:.1f} GB" if host.memory_mb else ""
    return f"{host.name} ({host.architecture}, {host.cores} cores{memory}; {host.fingerprint})"


def _longer_tail(old: Result, new: Result, latency: LatencyChange) -> bool:
    quiet = possible_slowdown(new, latency.basis == "yardstick") == 1
    enough = min(old.latency.runs, new.latency.runs) >= _TAIL_RUNS
    return quiet and enough and new.latency.p99_ms > _TAIL * old.latency.p99_ms


def _unclear(results: Sequence[Result], latency: LatencyChange, limit: float) -> str:
    low, high = latency.ci95
    way = "faster" if high < 0 else "slower"
    unknown = f"whether it is more than {limit * 100:g}% {way} is not clear ({low:+.1%} to {high:+.1%})"
    if any(possible_slowdown(result, latency.basis == "yardstick") > 1 for result in results):
        return f"{unknown}: what the warnings name may be the reason; see to that, and measure again"
    return f"{unknown}: measure once more, and join the files: results of one model count together"


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
