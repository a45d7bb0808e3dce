"""What weakens a comparison, said in sentences: other machines, other versions, noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..host import Host
from .comparison import LatencyChange
from .findings import same_images
from .matching import Side
from .result import Failure, Result
from .verdicts import possible_slowdown

Machines = dict[str | None, tuple[list[Result], list[Result]]]


def machines(before: Sequence[Result | Failure], after: Sequence[Result | Failure]) -> Machines:
    """Return both sets' results of each device that is in both; failures may be of a device never reached."""
    found: Machines = {}
    for number, side in enumerate((before, after)):
        for result in side:
            if isinstance(result, Result):
                found.setdefault(result.subject.device, ([], []))[number].append(result)
    return {device: (old, new) for device, (old, new) in found.items() if old and new}


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
    for device, (old, new) in machines(before, after).items():
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
