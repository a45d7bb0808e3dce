"""Tables of results, machine by machine, for terminals and in Markdown, with caveats below them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from ...edge.console import print_sentence
from ...edge.printable import one_line
from ...edge.statistics.paired import describe_difference
from ...edge.tables import TableColumn, known_columns, print_table
from .machines import Machine, by_machine
from .names import SHORT, Naming, failure_name, result_names, short_name
from .numbers import between, number
from .result import Caveat, ColdStart, Failure, MeasuredAccuracy, Pairing, Result, Soak, Stages

# A column's title, and its cell for a result; where it is None for all, the column is left out.
Column = tuple[str, Callable[[Result], str | None]]
# Signs that have a meaning in Markdown, which a backslash takes away, and the beginnings of plain links.
_ACTIVE = re.compile(r"[\\`*_{}\[\]|~$#!@^]|(?<=www)\.|:(?=//)")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def print_machine(machine: Machine) -> None:
    """Print all that was measured on a machine: latency, accuracy and stages, and remarks below them."""
    if machine.results:
        _print_columns(f"{machine.title}, {machine.setting}", LATENCY, machine.results)
        scored = [result for result in machine.results if result.accuracy]
        if scored:
            _print_columns(accuracy_title(scored), ACCURACY, scored)
        print_stages(machine.results, whole=True)
    for sentence in (*facts(machine), *_notes(machine)):
        print_sentence(sentence)


def to_markdown(results: Sequence[Result | Failure], command: str | None = None) -> str:
    """Return tables in GitHub's Markdown, machine by machine, and notes below them.

    `command` is the command line that measured them. Text from results is escaped.
    """
    parts = [part for machine in by_machine(results) for part in _machine(machine)]
    if command is not None:
        parts.append(f"Measured by:\n\n    {one_line(command)}")
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    marked = _ACTIVE.sub(lambda match: f"\\{match[0]}", one_line(text))
    return re.sub("[&<>]", lambda match: _HTML[match[0]], marked)


def columns_of(
    columns: Sequence[Column], results: Sequence[Result], naming: Naming = SHORT
) -> tuple[list[str], list[list[str]]]:
    """Return titles and rows of a table; the first column names the results."""
    cells = [[cell(result) for result in results] for _, cell in columns]
    known = [i for i, column in enumerate(cells) if any(cell is not None for cell in column)]
    rows = [
        [one_line(name), *(cells[i][row] or "-" for i in known)]
        for row, name in enumerate(result_names(results, naming))
    ]
    return ["file", *(columns[i][0] for i in known)], rows


def facts(machine: Machine) -> Iterator[str]:
    """Yield sentences about results that no table shows, and about models that could not be measured."""
    yield from _about_ratios(machine)
    yield from about_measuring(machine)


def _about_ratios(machine: Machine) -> Iterator[str]:
    bases = dict.fromkeys(short_name(r.ratio.base) for r in machine.results if r.ratio)
    if bases:
        yield f"Ratios are to {' and '.join(map(one_line, bases))}, of turns that followed each other."


def about_measuring(machine: Machine) -> Iterator[str]:
    """Yield sentences about what was measured besides, and about models that could not be measured."""
    for name, result in zip(result_names(machine.results), machine.results, strict=True):
        if result.soak:
            yield f"{one_line(name)}: {describe_soak(result.soak)}."
        if result.cold_start:
            yield f"{one_line(name)}: {describe_cold_start(result.cold_start)}."
    for failure in machine.failures:
        yield f"Not measured: {one_line(failure_name(failure))}: {one_line(failure.error)}"


def worst_of_each_kind(caveats: Iterable[Caveat]) -> dict[str, Caveat]:
    """Return the caveat with the highest value of each kind.

    Models take turns, so a disturbance of one model disturbs the others: one sentence is enough for all.
    """
    worst: dict[str, Caveat] = {}
    for caveat in caveats:
        if caveat.kind not in worst or (caveat.value or 0.0) > (worst[caveat.kind].value or 0.0):
            worst[caveat.kind] = caveat
    return worst


def shared_caveats(machine: Machine) -> list[tuple[str, tuple[str, ...]]]:
    """Return the text of each caveat once, with the names of the results that it is about."""
    worst = worst_of_each_kind(caveat for result in machine.results for caveat in result.conditions.warnings)
    found: dict[str, list[str]] = {}
    for name, result in zip(result_names(machine.results), machine.results, strict=True):
        seen = (worst[caveat.kind].text for caveat in result.conditions.warnings)
        for text in dict.fromkeys((*seen, *caveats(result))):
            found.setdefault(one_line(text), []).append(name)
    return [(text, tuple(names)) for text, names in found.items()]


def caveats(result: Result, energy: bool = True) -> Iterator[str]:
    """Yield sentences about what makes figures less reliable, besides the warnings of the conditions.

    Without `energy`, why there are no figures of it is not among them.
    """
    if result.accuracy and result.accuracy.skipped:
        yield f"{result.accuracy.skipped:,} images could not be read, and were not scored"
    if energy and result.energy.per_inference_mj is None and result.energy.reason:
        yield f"Energy was not measured: {result.energy.reason}"
    yield from result.remarks


def describe_soak(soak: Soak) -> str:
    """Return the slowdown, heat and clock of a soak in words."""
    heat = [point.temperature_c for point in soak.points if point.temperature_c is not None]
    clock = [point.clock_mhz for point in soak.points if point.clock_mhz is not None]
    parts = [f"{soak.minutes:.3g} minutes without a pause: {soak.slowdown:+.1%} time at the end"]
    for values, unit in ((heat, "°C"), (clock, "MHz")):
        if values:
            ends = dict.fromkeys(f"{end:.0f}" for end in (min(values), max(values)))
            parts.append(f"{' to '.join(ends)} {unit}")
    return ", ".join(parts)


def describe_cold_start(cold: ColdStart) -> str:
    """Return the time of a whole process in words."""
    range_ms = between((cold.lowest_ms, cold.highest_ms), cold.median_ms)
    memory = f", {cold.peak_mb:.0f} MB at most" if cold.peak_mb is not None else ""
    median = number(cold.median_ms)
    return f"edge-classify with one photo takes {median} ms from start to exit ({range_ms}{memory})"


def accuracy_title(scored: Sequence[Result]) -> str:
    """Return the images of the scores and the models that answers are compared with, in words."""
    bases = dict.fromkeys(
        short_name(r.accuracy.pairing.base) for r in scored if r.accuracy and r.accuracy.pairing
    )
    compared = f"; answers compared with {' and '.join(map(one_line, bases))}" if bases else ""
    return f"Accuracy on {scored_on(scored)}{compared}"


def scored_on(scored: Sequence[Result]) -> str:
    """Return the images of the scores in words."""
    known = [result.accuracy for result in scored if result.accuracy]
    images = " or ".join(dict.fromkeys(f"{accuracy.images:,}" for accuracy in known))
    return f"{images} images of {one_line(known[0].data)}"


def loss_verdict(pairing: Pairing) -> str:
    """Return whether the model is shown to be right less often than the model it is paired with."""
    if pairing.only_base <= pairing.only_this:
        return "no loss"
    return describe_difference(pairing.p_value)


def _notes(machine: Machine) -> Iterator[str]:
    for text, names in shared_caveats(machine):
        about = "" if len(names) == len(machine.results) else f"{', '.join(map(one_line, names))}: "
        yield f"Note: {about}{text}"


def _print_columns(title: str, columns: Sequence[Column], results: Sequence[Result]) -> None:
    titles, rows = columns_of(columns, results)
    print_table(title, titles, rows)


def print_stages(results: Sequence[Result], whole: bool) -> None:
    """Print the parts of the time from a picture to its answer, where these were measured."""
    rows = []
    for name, result in zip(result_names(results), results, strict=True):
        rows += [[one_line(name), *_stage_row(stages)] for stages in result.stages]
    if rows:
        columns, cells = known_columns(_STAGES, rows)
        print_table("From picture to answer, ms, medians", columns, cells, whole=whole)


def _stage_row(stages: Stages) -> list[str]:
    parts = (stages.waited, stages.decode, stages.resize, stages.invoke, stages.post, stages.whole)
    rate = number(stages.per_second)
    if stages.per_second_all is not None:
        rate += f"; {number(stages.per_second_all)} by {stages.workers}"
    return [
        one_line(stages.source),
        *("-" if part is None else number(part.median) for part in parts),
        number(stages.whole.p99),
        rate,
    ]


def of_accuracy(cell: Callable[[MeasuredAccuracy], str | None]) -> Callable[[Result], str | None]:
    """Return the cell of a result by a cell of its accuracy, where that was measured."""
    return lambda result: cell(result.accuracy) if result.accuracy else None


def percent_between(low: float, high: float) -> str:
    """Return an interval of shares in per cent."""
    return f"{low * 100:.1f} to {high:.1%}"


def _worst(accuracy: MeasuredAccuracy) -> str | None:
    worst = min(accuracy.classes, key=lambda score: score.recall, default=None)
    return f"{one_line(worst.label)} {worst.recall:.0%}" if worst else None


def _unknown(accuracy: MeasuredAccuracy) -> str | None:
    if accuracy.unknown is None or accuracy.lost_to_unknown is None:
        return None
    return f"{accuracy.unknown:.2%}, {accuracy.lost_to_unknown:.2%}"


def _machine(machine: Machine) -> list[str]:
    """Return title, tables and notes; numbers of notes stand behind the names that they are about."""
    parts = [f"**{escape(machine.title)}**"]
    notes = shared_caveats(machine)
    if machine.results:
        parts[0] += f" ({escape(_versions(machine))})"
        marks = [
            ",".join(str(number) for number, (_, names) in enumerate(notes, 1) if name in names)
            for name in result_names(machine.results)
        ]
        parts.append(_table(LATENCY, machine.results, marks))
        scored = [i for i, result in enumerate(machine.results) if result.accuracy]
        if scored:
            of_scored = [machine.results[i] for i in scored]
            parts.append(f"{escape(accuracy_title(of_scored))}:")
            parts.append(_table(ACCURACY, of_scored, [marks[i] for i in scored]))
    if notes:
        parts.append("\n".join(f"{number}. {escape(text)}" for number, (text, _) in enumerate(notes, 1)))
    said = list(facts(machine))
    if said:
        parts.append("\n".join(f"- {escape(sentence)}" for sentence in said))
    return parts


def _versions(machine: Machine) -> str:
    last = machine.results[-1]
    commit = f", commit {last.origin.commit[:12]}" if last.origin.commit else ""
    python = f"Python {last.host.python}, edge-classify {last.origin.version}"
    return f"{machine.setting}; {last.host.system}, {python}{commit}"


def _table(columns: Sequence[Column], results: Sequence[Result], marks: Sequence[str]) -> str:
    titles, rows = columns_of(columns, results)
    lines = [[escape(title.replace("\n", " ")) for title in titles], ["---", *["--:"] * (len(titles) - 1)]]
    for row, mark in zip(rows, marks, strict=True):
        cells = [escape(cell) for cell in row]
        lines.append([f"{cells[0]} <sup>{mark}</sup>" if mark else cells[0], *cells[1:]])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


LATENCY: tuple[Column, ...] = (
    ("size", lambda r: f"{r.subject.size_bytes / 1e6:.2f} MB"),
    ("load", lambda r: f"{number(r.latency.load_ms)} ms"),
    ("first", lambda r: f"{number(r.latency.first_ms)} ms"),
    ("median", lambda r: f"{number(r.latency.median_ms)} ms"),
    ("95 %\ninterval", lambda r: between(r.latency.median_ci95, r.latency.median_ms)),
    ("p90", lambda r: number(r.latency.p90_ms)),
    ("p99", lambda r: number(r.latency.p99_ms)),
    ("max", lambda r: number(r.latency.max_ms)),
    ("ratio", lambda r: number(r.ratio.median) if r.ratio else None),
    ("its\nrange", lambda r: between((r.ratio.lowest, r.ratio.highest), r.ratio.median) if r.ratio else None),
    ("peak\nmemory", lambda r: f"{r.memory.peak:.0f} MB" if r.memory else None),
    ("energy", lambda r: f"{number(r.energy.per_inference_mj)} mJ" if r.energy.per_inference_mj else None),
)  # fmt: skip
ACCURACY: tuple[Column, ...] = (
    ("top-1", of_accuracy(lambda a: f"{a.top1:.2%}")),
    ("95 %\ninterval", of_accuracy(lambda a: percent_between(*a.top1_ci95))),
    ("top-5", of_accuracy(lambda a: f"{a.top5:.2%}" if a.outputs > 5 else None)),
    ("macro\nF1", of_accuracy(lambda a: f"{a.macro_f1:.2%}")),
    ("95 % interval\nof F1", of_accuracy(lambda a: percent_between(*a.macro_f1_ci95))),
    ("worst class,\nits recall", of_accuracy(_worst)),
    ("calib.\nerror", of_accuracy(lambda a: f"{a.ece:.2%}")),
    ("unknown,\nof right ones", of_accuracy(_unknown)),
    ("same\nanswer", of_accuracy(lambda a: f"{a.pairing.agreement:.2%}" if a.pairing else None)),
    ("images\nchanged", of_accuracy(lambda a: f"{len(a.pairing.changed):,}" if a.pairing else None)),
    ("is the loss\nreal?", of_accuracy(lambda a: loss_verdict(a.pairing) if a.pairing else None)),
)
_STAGES = (
    TableColumn("file", words=True),
    TableColumn("source", words=True),
    TableColumn("wait", 1),
    TableColumn("decode", 2),
    TableColumn("resize", 2),
    TableColumn("invoke", 2),
    TableColumn("answer", 2),
    TableColumn("whole"),
    TableColumn("p99", 3),
    TableColumn("per second"),
)
