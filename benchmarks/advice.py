"""What to ship on each device, by what was measured there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..edge.console import print_table, printable
from .recommend import Budget, Contender, Recommendation, recommend
from .results.result import Failure, Result

MAX_DROP = 0.01  # Of top-1, where the budget says nothing: as edge-convert's --max-drop.


@dataclass(frozen=True)
class Advice:
    """What to ship on one device; `names` are of all that was measured there, in order."""

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

    What could not be measured on a device is no candidate there.
    """
    by_device: dict[str, list[Result]] = {}
    for result in results:
        if isinstance(result, Result):
            by_device.setdefault(result.subject.device or result.host.name, []).append(result)
    return [
        Advice(device, recommend(contenders, budget, MAX_DROP), tuple(c.name for c in contenders))
        for device, found in by_device.items()
        for contenders in [[_contender(result, found) for result in found]]
    ]


def print_advice(advice: Sequence[Advice]) -> None:
    """Print for each device what to ship there, and why not the others."""
    for one in advice:
        rows = [(name, one.recommendation.against(name)) for name in one.names]
        if one.recommendation.name is None or len(rows) > 1:
            shown = [(name, why or "ship this") for name, why in rows]
            print_table(f"What to ship on {one.device}", ("file", ""), shown)
        click.echo(printable(one.sentence()))


def _contender(result: Result, among: Sequence[Result]) -> Contender:
    accuracy, subject = result.accuracy, result.subject
    lost = None
    if accuracy is not None:
        pairing = accuracy.pairing
        # A float32 file is what its variants are made from; it may be paired with another model's.
        made_from = pairing if subject.variant != "float32" else None
        lost = (made_from.only_base - made_from.only_this) / accuracy.images if made_from else 0.0
    return Contender(
        _name(result, among),
        subject.size_bytes,
        accuracy.top1 if accuracy else None,
        lost,
        result.latency.median_ms,
        result.latency.p99_ms,
        result.memory.peak if result.memory else None,
        subject.threads,
    )


def _name(result: Result, among: Sequence[Result]) -> str:
    """Return the file's name, with what tells it from the others: folder, threads, runtime, delegate."""
    subject, others = result.subject, [other.subject for other in among]
    same = {other.file for other in others if Path(other.file).name == Path(subject.file).name}
    parts = [subject.file if len(same) > 1 else Path(subject.file).name]
    if len({other.threads for other in others}) > 1:
        parts.append(f"{subject.threads} thread{'s' * (subject.threads > 1)}")
    if len({other.runtime for other in others}) > 1:
        parts.append(subject.runtime)
    if len({other.delegate for other in others}) > 1:
        parts.append(f"on {subject.delegate}" if subject.delegate else "on the processor")
    return ", ".join(parts)
