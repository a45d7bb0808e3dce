"""The results of each device as the report shows them: named, sorted, and with the best ones found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..budget import Budget
from ..host import Host
from ..next_step import command_after
from ..recommend import recommend_result
from ..results.machines import Machine, by_machine, machine_names
from ..results.names import Naming, failure_name, result_names
from ..results.result import Failure, Origin, Result

_REMARK = "remark"  # About a result as a whole, or about its stages.
# The title of each kind of caveat, in the order in which they are shown.
CAVEAT_TITLES = {
    "neighbours": "Other programs used the processor",
    "throttled": "The board slowed itself down",
    "hot": "It got hot",
    "clock": "The clock changed",
    "governor": "The clock is not kept up",
    "swap": "Memory was swapped",
    "unsteady": "The latency was never steady",
    _REMARK: "Remarks",
}


@dataclass(frozen=True)
class ReportRow:
    """A result and its name on its machine.

    `base` is the name of the model that it was compared with, "" for none. `on_front`: no other model there
    is faster and as accurate. `why_not` says why another model is recommended.
    """

    name: str
    base: str
    result: Result
    on_front: bool
    why_not: str


@dataclass(frozen=True)
class CaveatGroup:
    """Caveats of one kind: sentences, each with the names of the models that it is about."""

    title: str
    sentences: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Device:
    """A machine and what was measured on it, fastest first; texts are ready to be shown.

    `name` is short: the host as --on named it, or the board; `title` holds both. `failures` are names and
    errors. `recommended` is the model to ship, None where none keeps the limits, and `reason` says why.
    """

    name: str
    title: str
    host: Host
    rows: tuple[ReportRow, ...]
    failures: tuple[tuple[str, str], ...]
    runtimes: tuple[str, ...]
    measured: str
    versions: tuple[str, ...]
    recommended: ReportRow | None
    reason: str

    @property
    def fastest(self) -> ReportRow | None:
        """The row with the lowest median."""
        return min(self.rows, key=lambda row: row.result.latency.median_ms, default=None)

    @property
    def next_step(self) -> tuple[str, str]:
        """What to type next, and when; both "" where nothing can be named."""
        chosen = self.recommended.result if self.recommended else None
        return command_after([row.result for row in self.rows], chosen)

    @property
    def most_accurate(self) -> ReportRow | None:
        """The scored row with the highest top-1; of equal rows the fastest."""
        scored = [row for row in self.rows if row.result.accuracy is not None]
        return max(scored, key=lambda row: (top1(row.result), -row.result.latency.median_ms), default=None)

    @property
    def caveats(self) -> tuple[CaveatGroup, ...]:
        """The caveats of all rows, the gravest kinds first, unknown kinds last."""
        by_kind: dict[str, dict[str, list[str]]] = {}
        for row in self.rows:
            for kind, text in dict.fromkeys(_caveats(row.result)):
                by_kind.setdefault(kind, {}).setdefault(text, []).append(row.name)
        order = [kind for kind in CAVEAT_TITLES if kind in by_kind]
        order += [kind for kind in by_kind if kind not in CAVEAT_TITLES]
        return tuple(
            CaveatGroup(
                CAVEAT_TITLES.get(kind, kind),
                tuple((text, tuple(names)) for text, names in by_kind[kind].items()),
            )
            for kind in order
        )


def describe_devices(
    results: Sequence[Result | Failure], naming: Naming, budget: Budget
) -> tuple[Device, ...]:
    """Return the machines in the order in which they come; recommended models keep the budget."""
    machines = by_machine(results)
    return tuple(
        _describe(machine, name, naming, budget)
        for machine, name in zip(machines, machine_names(machines), strict=True)
    )


def _describe(machine: Machine, name: str, naming: Naming, budget: Budget) -> Device:
    measured = sorted(machine.results, key=lambda result: result.latency.median_ms)
    rows, recommended, reason = _rows(measured, naming, budget)
    runtimes = [result.subject.runtime for result in measured]
    runtimes += [failure.runtime for failure in machine.failures if failure.runtime]
    every = machine.everything
    days = sorted(result.origin.started[:10] for result in every)
    return Device(
        name=name,
        title=f"{name}: {machine.host.name}" if machine.device else name,
        host=every[-1].host,
        rows=rows,
        failures=tuple((failure_name(it, naming), it.error) for it in machine.failures),
        runtimes=_distinct(runtimes),
        measured=days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}",
        versions=_distinct([_version(result.origin) for result in every]),
        recommended=recommended,
        reason=reason,
    )


def _rows(
    measured: Sequence[Result], naming: Naming, budget: Budget
) -> tuple[tuple[ReportRow, ...], ReportRow | None, str]:
    """Return a row for each result, the recommended one, and why."""
    if not measured:
        return (), None, "nothing could be measured"
    names, front = result_names(measured, naming), _front(measured)
    found = recommend_result(measured, names, budget)
    rows = tuple(
        ReportRow(name, naming.short(_base(result)), result, number in front, found.against(name))
        for number, (name, result) in enumerate(zip(names, measured, strict=True))
    )
    reason = ". ".join([found.reason, " ".join(found.remarks())]) if found.remarks() else found.reason
    return rows, rows[names.index(found.name)] if found.name else None, reason


def _base(result: Result) -> str:
    pairing = result.accuracy.pairing if result.accuracy else None
    return result.ratio.base if result.ratio else pairing.base if pairing else ""


def _front(measured: Sequence[Result]) -> set[int]:
    scored = [i for i, result in enumerate(measured) if result.accuracy is not None]
    points = [(measured[i].latency.median_ms, top1(measured[i])) for i in scored]
    return {scored[i] for i in pareto_front(points)}


def top1(result: Result) -> float:
    """Return the top-1 of a scored result; raises ValueError for a result that was not scored."""
    if result.accuracy is None:
        raise ValueError(f"{result.subject.file} was not scored")
    return result.accuracy.top1


def _caveats(result: Result) -> Iterator[tuple[str, str]]:
    for caveat in result.conditions.warnings:
        yield caveat.kind, caveat.text
    for remark in (*result.remarks, *(text for stages in result.stages for text in stages.remarks)):
        yield _REMARK, remark


def _version(origin: Origin) -> str:
    return f"{origin.version}, commit {origin.commit}" if origin.commit else origin.version


def _distinct(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the points (cost, gain) that no other point dominates, by rising cost.

    A point dominates all that cost as much or more and gain as much or less, but not its equals. Points with
    a NaN are left out.
    """
    known = [i for i, point in enumerate(points) if not any(map(math.isnan, point))]
    order = sorted(known, key=lambda i: (points[i][0], -points[i][1]))
    front: list[int] = []
    for index in order:
        if not front or points[index][1] > points[front[-1]][1] or points[index] == points[front[-1]]:
            front.append(index)
    return front
