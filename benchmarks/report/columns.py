"""The tables of the report: their columns, and one row for each result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from ...edge.statistics.paired import describe_difference
from ..results.numbers import between, counted, number, percent, percent_between
from ..results.result import ColdStart, Interval, MeasuredAccuracy, Memory, Pairing, Spread, Stages
from .devices import Device, ReportRow

Better = Literal["low", "high"]
Section = TypeVar("Section")


@dataclass(frozen=True)
class Cell:
    """A cell of a table: text, a second line in small print, and the value by which it is sorted."""

    text: str
    small: str = ""
    value: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Column:
    """A column: its title, its cell for a row (None: not known), and which values are better, if any."""

    title: str
    cell: Callable[[ReportRow], Cell | None]
    better: Better | None = None


@dataclass(frozen=True)
class ReportTable:
    """Titles and rows of cells; the first cell of a row is its name."""

    titles: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def words(self) -> tuple[bool, ...]:
        """Whether each column holds words, and not figures."""
        return tuple(all(cell.value is None for cell in column) for column in zip(*self.rows, strict=True))


def make_table(
    devices: Sequence[Device], columns: Sequence[Column], kept: Callable[[ReportRow], bool] = lambda row: True
) -> ReportTable | None:
    """Return the rows that are `kept`, machine by machine; None where there is none.

    The best value of each machine is marked in columns with a `better`.
    """
    heads: list[tuple[Cell, ...]] = []
    lines: list[list[Cell | None]] = []
    for device in devices:
        rows = [row for row in device.rows if kept(row)]
        heads += [(Cell(row.name), Cell(device.name))[: 1 + (len(devices) > 1)] for row in rows]
        by_column = [_with_best([column.cell(row) for row in rows], column.better) for column in columns]
        lines += [list(cells) for cells in zip(*by_column, strict=True)]
    known = [number for number in range(len(columns)) if any(line[number] for line in lines)]
    if not known:
        return None
    titles = ("Model", "Device")[: len(heads[0])] + tuple(columns[number].title for number in known)
    filled = (
        head + tuple(line[n] or Cell("-") for n in known) for head, line in zip(heads, lines, strict=True)
    )
    return ReportTable(titles, tuple(filled))


def stages_table(measured: Sequence[tuple[str, Stages]]) -> ReportTable:
    """Return a table of stages by name: medians with p99 below, ms, and pictures a second."""
    columns: list[tuple[str, Callable[[Stages], Cell | None]]] = [
        ("Decode, ms", lambda it: _spread(it.decode)),
        ("Resize, ms", lambda it: _spread(it.resize)),
        ("Invoke, ms", lambda it: _spread(it.invoke)),
        ("Post, ms", lambda it: _spread(it.post)),
        ("Whole, ms", lambda it: _spread(it.whole)),
        ("Pictures a second", lambda it: _plain(it.per_second)),
        ("With all workers", lambda it: None if it.per_second_all is None else Cell(
            number(it.per_second_all), f"{it.workers} workers", it.per_second_all)),
        ("Waited for a frame, ms", lambda it: _spread(it.waited)),
        ("Age at the answer, ms", lambda it: _spread(it.age)),
        ("Pictures", lambda it: Cell(
            counted(it.images), f"{counted(it.skipped)} skipped" if it.skipped else "", it.images)),
    ]  # fmt: skip
    cells = [[cell(stages) for _, cell in columns] for _, stages in measured]
    known = [number for number in range(len(columns)) if any(line[number] for line in cells)]
    rows = [
        (Cell(name), *(line[i] or Cell("-") for i in known))
        for (name, _), line in zip(measured, cells, strict=True)
    ]
    return ReportTable(("Model", *(columns[i][0] for i in known)), tuple(rows))


def named_stages(device: Device) -> list[tuple[str, Stages]]:
    """Return the stages of a device by name, and by source where pictures came from several sources."""
    every = [(row.name, stages) for row in device.rows for stages in row.result.stages]
    if len({stages.source for _, stages in every}) < 2:
        return every
    return [(f"{name}, {stages.source}", stages) for name, stages in every]


def energy_known(row: ReportRow) -> bool:
    """Return whether the energy of the model was measured."""
    return row.result.energy.per_inference_mj is not None


def _with_best(cells: Sequence[Cell | None], better: Better | None) -> list[Cell | None]:
    """Return the cells of one machine with the best ones marked, where not all are alike."""
    values = {cell.value for cell in cells if cell is not None and cell.value is not None}
    if better is None or len(values) < 2:
        return list(cells)
    best = min(values) if better == "low" else max(values)
    return [replace(cell, best=cell.value == best) if cell else None for cell in cells]


def _of(
    section: Callable[[ReportRow], Section | None], cell: Callable[[Section], Cell | None]
) -> Callable[[ReportRow], Cell | None]:
    """Return the cell of a column that shows a section of the result; None where it lacks that section."""

    def of_row(row: ReportRow) -> Cell | None:
        found = section(row)
        return None if found is None else cell(found)

    return of_row


def _plain(value: float | None) -> Cell | None:
    return None if value is None else Cell(number(value), value=value)


def _count(value: int | None) -> Cell | None:
    return None if value is None else Cell(counted(value), value=value)


def _ranged(value: float, interval: Interval, note: str = "") -> Cell:
    return Cell(number(value), note + between(interval, value), value)


def _rate(value: float, interval: Interval) -> Cell:
    return Cell(percent(value), percent_between(interval), value)


def _size(row: ReportRow) -> Cell | None:
    return _plain(row.result.subject.size_bytes / 1e6)


def _warm_up(row: ReportRow) -> Cell:
    latency = row.result.latency
    return Cell(counted(latency.warm_up_runs), "" if latency.steady else "never steady", latency.warm_up_runs)


def _caveats(row: ReportRow) -> Cell | None:
    kinds = list(dict.fromkeys(caveat.kind for caveat in row.result.conditions.warnings))
    return Cell(", ".join(kinds), value=len(kinds)) if kinds else None


def _memory(row: ReportRow) -> Memory | None:
    return row.result.memory


def _cold_start(row: ReportRow) -> ColdStart | None:
    return row.result.cold_start


def _accuracy(row: ReportRow) -> MeasuredAccuracy | None:
    return row.result.accuracy


def _top5(accuracy: MeasuredAccuracy) -> Cell | None:
    return _rate(accuracy.top5, accuracy.top5_ci95) if accuracy.outputs > 5 else None


def _unknown(accuracy: MeasuredAccuracy) -> Cell | None:
    if accuracy.unknown is None or accuracy.lost_to_unknown is None:
        return None
    lost = f"{percent(accuracy.lost_to_unknown)} of the right answers"
    return Cell(percent(accuracy.unknown), lost, accuracy.unknown)


def _pairing(row: ReportRow) -> Pairing | None:
    return row.result.accuracy.pairing if row.result.accuracy else None


def _significance(pairing: Pairing) -> Cell:
    verdict, _, p = describe_difference(pairing.p_value).partition(", ")
    return Cell(verdict, p, pairing.p_value)


def _words(text: str | None) -> Cell | None:
    return Cell(text) if text else None


def _neighbours(row: ReportRow) -> Cell | None:
    mean, most = row.result.conditions.neighbours, row.result.conditions.neighbours_max
    if mean is None:
        return None
    return Cell(f"{mean:.2f}", "" if most is None else f"at most {most:.2f}", mean)


def _span(interval: Interval | None) -> Cell | None:
    if interval is None:
        return None
    low, high = (number(end) for end in interval)
    return Cell(low if low == high else f"{low} to {high}", value=interval[1])


def _throttled(row: ReportRow) -> Cell | None:
    problems = row.result.conditions.throttled
    return None if problems is None else Cell(", ".join(problems) or "no")


def _spread(time: Spread | None) -> Cell | None:
    return None if time is None else Cell(number(time.median), f"p99 {number(time.p99)}", time.median)


FIGURES = (
    Column("Top-1", _of(_accuracy, lambda it: _rate(it.top1, it.top1_ci95)), "high"),
    Column("Median, ms",
           _of(lambda row: row.result.latency, lambda it: _ranged(it.median_ms, it.median_ci95)), "low"),
    Column("p90, ms", lambda row: _plain(row.result.latency.p90_ms), "low"),
    Column("p95, ms", lambda row: _plain(row.result.latency.p95_ms), "low"),
    Column("p99, ms", lambda row: _plain(row.result.latency.p99_ms), "low"),
    Column("Longest, ms", lambda row: _plain(row.result.latency.max_ms), "low"),
    Column("Multiple of base",
           _of(lambda row: row.result.ratio, lambda it: _ranged(it.median, it.ci95)), "low"),
    Column("Multiple of yardstick",
           _of(lambda row: row.result.yardstick, lambda it: _ranged(it.ratio, it.ratio_ci95)), "low"),
    Column("Load, ms", lambda row: _plain(row.result.latency.load_ms), "low"),
    Column("First, ms", lambda row: _plain(row.result.latency.first_ms), "low"),
    Column("Size, MB", _size, "low"),
    Column("Peak memory, MB", _of(_memory, lambda it: _plain(it.peak)), "low"),
    Column("Energy, mJ", lambda row: _plain(row.result.energy.per_inference_mj), "low"),
    Column("Timed runs", lambda row: _count(row.result.latency.runs)),
    Column("Warm-up runs", _warm_up),
    Column("Caveats", _caveats),
    Column("Why not this one", lambda row: _words(row.why_not)),
)  # fmt: skip

MEMORY = (
    Column("Size, MB", _size, "low"),
    Column("Loaded, MB", _of(_memory, lambda it: _plain(it.loaded)), "low"),
    Column("Steady, MB", _of(_memory, lambda it: _plain(it.steady)), "low"),
    Column("Peak, MB", _of(_memory, lambda it: _plain(it.peak)), "low"),
    Column("Growth in 1,000 runs, MB", _of(_memory, lambda it: Cell(f"{it.slope:+.2f}", value=it.slope))),
)

COLD_START = (
    Column("From start to exit, ms",
           _of(_cold_start, lambda it: _ranged(it.median_ms, (it.lowest_ms, it.highest_ms))), "low"),
    Column("Processes", _of(_cold_start, lambda it: _count(it.runs))),
    Column("Peak memory, MB", _of(_cold_start, lambda it: _plain(it.peak_mb)), "low"),
)  # fmt: skip

ENERGY = (
    Column("Energy of an inference, mJ", lambda row: _plain(row.result.energy.per_inference_mj), "low"),
    Column("Meter", lambda row: _words(row.result.energy.source)),
)

CONDITIONS = (
    Column("Cores busy with other programs", _neighbours),
    Column("Clock, MHz", lambda row: _span(row.result.conditions.clock_mhz)),
    Column("Temperature, °C", lambda row: _span(row.result.conditions.temperature_c)),
    Column("Governor", lambda row: _words(row.result.conditions.governor)),
    Column("Throttled", _throttled),
)

ACCURACY = (
    Column("Top-1", _of(_accuracy, lambda it: _rate(it.top1, it.top1_ci95)), "high"),
    Column("Top-5", _of(_accuracy, _top5), "high"),
    Column("Macro F1", _of(_accuracy, lambda it: _rate(it.macro_f1, it.macro_f1_ci95)), "high"),
    Column("Calibration error", _of(_accuracy, lambda it: _rate(it.ece, it.ece_ci95)), "low"),
    Column("Answered unknown", _of(_accuracy, _unknown)),
    Column("Images", _of(_accuracy, lambda it: Cell(
        counted(it.images), f"{counted(it.skipped)} skipped" if it.skipped else "", it.images))),
    Column("Of them training images", _of(_accuracy, lambda it: _count(it.training_images))),
    Column("Same answer as base", _of(_pairing, lambda it: _rate(it.agreement, it.agreement_ci95)), "high"),
    Column("Only base right", _of(_pairing, lambda it: _count(it.only_base))),
    Column("Only this right", _of(_pairing, lambda it: _count(it.only_this))),
    Column("Base", lambda row: _words(row.base)),
    Column("Is the difference real?", _of(_pairing, _significance)),
)  # fmt: skip
