"""Which of several model files to ship on each device: of those as accurate as the best, the fastest.

A file may be among them several times, run with different numbers of threads or by different runtimes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from ..edge.console import print_table, printable
from .budget import Budget
from .results.machines import by_machine, machine_names
from .results.names import FILE_NAMES, result_names
from .results.numbers import points
from .results.result import Failure, MeasuredAccuracy, Result
from .scoring.loss import Loss

MAX_DROP = 0.01  # Of top-1, where the budget says nothing: as --max-drop of edge-convert.
# Medians of one run, sizes, and memory that differ by a smaller factor count as equal.
_SAME_SPEED, _SAME_SIZE, _SAME_MEMORY = 1.1, 1.05, 1.1


@dataclass(frozen=True)
class Candidate:
    """A measured model file: `top1` is a fraction of 1, times are ms, `memory` MB; None: not measured.

    `lost` is relative to the model that it was made from.
    """

    name: str
    size: int
    top1: float | None
    lost: Loss | None
    median: float
    p99: float
    memory: float | None
    threads: int = 1


@dataclass(frozen=True)
class Recommendation:
    """The file to ship, or None; `reason` is a phrase.

    `misses` holds, for each file that breaks limits, which ones, and `why_not` a phrase for each file that
    keeps the limits and was not chosen.
    """

    name: str | None
    reason: str
    misses: dict[str, list[str]]
    why_not: dict[str, str] = field(default_factory=dict)

    def against(self, name: str) -> str:
        """Return why a file was not chosen, in words; empty for the chosen one."""
        return "; ".join(self.misses.get(name, [])) or self.why_not.get(name, "")


@dataclass(frozen=True)
class Advice:
    """What to ship on one device; `names` are those of all results there, in order."""

    device: str
    recommendation: Recommendation
    names: tuple[str, ...]

    def to_record(self) -> dict[str, Any]:
        """Return the object that --json prints after the results: device, ship (or null), reason, why_not."""
        found = self.recommendation
        others = {name: found.against(name) for name in self.names if name != found.name}
        return {
            "recommendation": {
                "device": self.device,
                "ship": found.name,
                "reason": found.reason,
                "why_not": others,
            }
        }

    def sentence(self) -> str:
        """Return the advice in one line."""
        name = self.recommendation.name
        return f"{self.device}: ship {name or 'none of them'}: {self.recommendation.reason}."


def advise(results: Sequence[Result | Failure], budget: Budget) -> list[Advice]:
    """Return what to ship on each device, in the order in which the devices come.

    A model that could not be measured on a device is no candidate there.
    """
    machines = [machine for machine in by_machine(results) if machine.results]
    advice = []
    for device, machine in zip(machine_names(machines), machines, strict=True):
        names = result_names(machine.results, FILE_NAMES)
        advice.append(Advice(device, recommend_result(machine.results, names, budget), tuple(names)))
    return advice


def print_advice(advice: Sequence[Advice]) -> None:
    """Print for each device what to ship there, and why not the others."""
    for one in advice:
        rows = [(name, one.recommendation.against(name)) for name in one.names]
        if one.recommendation.name is None or len(rows) > 1:
            shown = [(name, why or "ship this") for name, why in rows]
            print_table(f"What to ship on {one.device}", ("file", ""), shown)
        click.echo(printable(one.sentence()))


def recommend_result(results: Sequence[Result], names: Sequence[str], budget: Budget) -> Recommendation:
    """Choose among the results of one machine, which are called by `names`."""
    candidates = [_candidate(result, name) for result, name in zip(results, names, strict=True)]
    return recommend(candidates, budget, MAX_DROP)


def recommend(candidates: Sequence[Candidate], budget: Budget, max_drop: float) -> Recommendation:
    """Choose among files that were measured in one run.

    Files within the budget stay; of these, those whose top-1 is within `max_drop` (a fraction) of the best;
    of these the fastest by the median; of those that are as fast within 10 % the smallest; of those that are
    as small within 5 % those with the fewest threads; of those that take as little memory within 10 % the one
    with the lowest p99. The drop of the budget, if any, replaces `max_drop` as the most that a file may have
    lost. Raises ValueError for no files.
    """
    if not candidates:
        raise ValueError("no files to choose from")
    limit = max_drop if budget.drop is None else budget.drop / 100
    misses = {c.name: found for c in candidates if (found := _misses(c, budget, limit))}
    fitting = [c for c in candidates if c.name not in misses]
    if not fitting:
        closest = min(misses, key=lambda name: len(misses[name]))
        return Recommendation(
            None,
            f"none of the {len(candidates)} files keeps the limits; {closest}: {', '.join(misses[closest])}",
            misses,
        )
    best = max((c.top1 or 0.0) for c in fitting)
    accurate = [c for c in fitting if (c.top1 or 0.0) >= best - limit]
    fastest = min(c.median for c in accurate)
    fast = [c for c in accurate if c.median <= fastest * _SAME_SPEED]
    smallest = min(c.size for c in fast)
    chosen = _steadiest([c for c in fast if c.size <= smallest * _SAME_SIZE])
    why_not = {c.name: _why_not(c, chosen, best, limit) for c in fitting if c is not chosen}
    return Recommendation(chosen.name, _reason(chosen, fitting, accurate, fast, limit), misses, why_not)


def _candidate(result: Result, name: str) -> Candidate:
    accuracy, subject = result.accuracy, result.subject
    return Candidate(
        name,
        subject.size_bytes,
        accuracy.top1 if accuracy else None,
        _lost(subject.variant, accuracy) if accuracy else None,
        result.latency.median_ms,
        result.latency.p99_ms,
        result.memory.peak if result.memory else None,
        subject.threads,
    )


def _lost(variant: str | None, accuracy: MeasuredAccuracy) -> Loss:
    """Return the loss to the model that the file is paired with, if it was made from that one.

    A float32 file is what its variants are made from: it is only ever paired with other models.
    """
    pairing = accuracy.pairing
    if pairing is None or variant == "float32":
        return Loss(0.0)
    return Loss((pairing.only_base - pairing.only_this) / accuracy.images)


def _steadiest(alike: Sequence[Candidate]) -> Candidate:
    """Return, of files as fast and as small, the one with the fewest threads, little memory, and low p99."""
    fewest = min(c.threads for c in alike)
    frugal = [c for c in alike if c.threads == fewest]
    least = min(_memory(c) for c in frugal)
    return min((c for c in frugal if _memory(c) <= least * _SAME_MEMORY), key=lambda c: (c.p99, c.median))


def _memory(candidate: Candidate) -> float:
    return math.inf if candidate.memory is None else candidate.memory


def _why_not(other: Candidate, chosen: Candidate, best: float, limit: float) -> str:
    """Return why a file that keeps the limits was not chosen, by the first rule that decided it."""
    behind = best - (other.top1 or 0.0)
    if behind > limit:
        return f"{behind * 100:.2f} points less accurate than the best"
    if other.median > chosen.median * _SAME_SPEED:
        return f"{other.median / chosen.median:.1f} times as slow"
    return f"as fast within 10 %, {_what_it_costs(other, chosen)}"


def _what_it_costs(other: Candidate, chosen: Candidate) -> str:
    if other.size > chosen.size * _SAME_SIZE:
        return f"and {other.size / chosen.size:.1f} times as large"
    if other.threads > chosen.threads:
        return f"with {other.threads} threads instead of {chosen.threads}"
    if other.memory is None and chosen.memory is not None:
        return "but its memory could not be measured"
    if _memory(other) > _memory(chosen) * _SAME_MEMORY:
        return f"and takes {_memory(other):.0f} MB of memory"
    return f"and its p99 is {other.p99:.2f} ms"


def _misses(candidate: Candidate, budget: Budget, max_drop: float) -> list[str]:
    found = []
    if candidate.lost is not None and candidate.lost.exceeds(max_drop):
        found.append(f"loses {candidate.lost}, more than {max_drop * 100:g}")
    rows = (
        ("size", candidate.size, budget.size, 1e6, "MB"),
        ("peak memory", candidate.memory, budget.memory, 1.0, "MB"),
        ("median", candidate.median, budget.median, 1.0, "ms"),
        ("p99", candidate.p99, budget.p99, 1.0, "ms"),
    )
    for name, value, limit, unit, symbol in rows:
        if limit is not None and value is None:
            found.append(f"{name} could not be measured")
        elif limit is not None and value is not None and value > limit:
            found.append(f"{name} {value / unit:.2f} {symbol} is above {limit / unit:g}")
    return found


def _reason(
    chosen: Candidate,
    fitting: Sequence[Candidate],
    accurate: Sequence[Candidate],
    fast: Sequence[Candidate],
    max_drop: float,
) -> str:
    if len(fitting) == 1:
        return "the only file that keeps the limits"
    kind = "smallest of the fastest" if len(fast) > 1 else "fastest"
    if chosen.top1 is None:
        return f"the {kind} of {len(fitting)} files; none was scored"
    if len(accurate) == 1:
        return f"the others are more than {points(max_drop)} less accurate"
    return f"the {kind} of {len(accurate)} files within {points(max_drop)} of the best top-1"
