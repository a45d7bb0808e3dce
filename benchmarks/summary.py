"""What edge-benchmark prints for people, machine by machine: what to ship and why, then figures.

The figures are one short table, or with --details all tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..edge.console import print_sentence
from ..edge.printable import one_line
from ..edge.tables import DETAILS, TableColumn, print_table
from .recommend import Advice, print_advice
from .results.machines import Machine, by_machine
from .results.names import FILE_NAMES, result_names
from .results.numbers import number
from .results.result import Failure, Result
from .results.tables import (
    Column,
    about_measuring,
    caveats,
    columns_of,
    of_accuracy,
    percent_between,
    print_machine,
    print_stages,
    scored_on,
    worst_of_each_kind,
)

# What a narrow terminal leaves out first has the highest rank.
_SHORT: tuple[tuple[int, Column], ...] = (
    (2, ("MB", lambda r: f"{r.subject.size_bytes / 1e6:.2f}")),
    (0, ("top-1", of_accuracy(lambda a: f"{a.top1:.2%}"))),
    (1, ("95 % interval", of_accuracy(lambda a: percent_between(*a.top1_ci95)))),
    (0, ("median", lambda r: f"{number(r.latency.median_ms)} ms")),
    (3, ("p99", lambda r: f"{number(r.latency.p99_ms)} ms")),
)


def print_summary(results: Sequence[Result | Failure], advice: Sequence[Advice], details: bool) -> None:
    """Print the results of each machine; `advice` is that of the machines that have some, or empty."""
    left = list(advice)
    for place, machine in enumerate(by_machine(results)):
        one = left.pop(0) if left and machine.results else None
        if place:
            print_sentence("")
        if one is not None:
            print_advice(one, details)
        if details:
            print_machine(machine)
        else:
            _print_short(machine, one)


def _print_short(machine: Machine, advice: Advice | None) -> None:
    if machine.results:
        _print_short_table(machine, advice)
        print_stages(machine.results, whole=False)
    for sentence in (*about_measuring(machine), *_short_notes(machine)):
        print_sentence(sentence)


def _print_short_table(machine: Machine, advice: Advice | None) -> None:
    scored = [result for result in machine.results if result.accuracy]
    title = f"{machine.title}, {machine.setting}" + (f"; top-1 on {scored_on(scored)}" if scored else "")
    titles, rows = columns_of([column for _, column in _SHORT], machine.results, FILE_NAMES)
    ranks = {column[0]: rank for rank, column in _SHORT}
    columns = [TableColumn(title, ranks.get(title, 0), words=title == "file") for title in titles]
    if advice is not None:
        columns.append(TableColumn("verdict", words=True))
        for row, name in zip(rows, advice.names, strict=True):
            row.append(advice.recommendation.verdict(name))
    print_table(title, columns, rows, whole=False)


def _short_notes(machine: Machine) -> Iterator[str]:
    """Yield what makes figures less reliable: disturbances in one sentence, all else as it is."""
    disturbed = [result for result in machine.results if result.conditions.warnings]
    if disturbed:
        worst = worst_of_each_kind(caveat for result in disturbed for caveat in result.conditions.warnings)
        said = "; ".join(_without_remedy(caveat.text) for caveat in worst.values())
        some = len(disturbed) < len(machine.results)
        of = f", on {len(disturbed)} of {len(machine.results)} measurements" if some else ""
        yield f"Note{of}: {said}. {DETAILS} tells {'on which, and ' if some else ''}what to do."
    others: dict[str, list[str]] = {}
    for name, result in zip(result_names(machine.results, FILE_NAMES), machine.results, strict=True):
        for text in dict.fromkeys(caveats(result, energy=False)):
            others.setdefault(text, []).append(name)
    for text, names in others.items():
        about = "" if len(names) == len(machine.results) else f"{', '.join(names)}: "
        yield f"Note: {about}{text}"


def _without_remedy(text: str) -> str:
    """Return the fact of "fact: remedy", or the first sentence."""
    return one_line(text.partition(": ")[0].partition(". ")[0])
