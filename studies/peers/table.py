"""The comparison as Markdown, for the manual: three tables, none of more columns than a phone shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_classify.benchmarks.host import Host
from edge_classify.edge.printable import one_line

from studies.peers.figures import Figures, PairedRatio, Share

_TABLES = (
    ("inference", "times ours", "photo to label"),
    ("cold start", "memory", "on disk"),
    ("answers as Keras", "top-1"),
)


@dataclass(frozen=True)
class Setting:
    """The facts about all rows. `model` and `pictures` are phrases; `rounds` is the number that all ran."""

    host: Host
    date: str
    threads: int
    model: str
    pictures: str
    rounds: int


def to_markdown(rows: Sequence[Figures], setting: Setting) -> str:
    """Return the tables with their notes; a row without figures becomes a note that says why.

    A table leaves out the rows of which it has nothing to say.
    """
    measured = [row for row in rows if row.failure is None]
    lines = []
    for columns in _TABLES:
        lines += [_line(["runtime", "file", *columns]), _line(["---", "---", *["---:"] * len(columns)])]
        cells = [(row, [_cells(row)[column] for column in columns]) for row in measured]
        lines += [_line([row.title, row.kind, *own]) for row, own in cells if set(own) != {"-"}]
        lines.append("")
    return "\n".join([*lines, *_notes(rows, setting)]) + "\n"


def _cells(row: Figures) -> dict[str, str]:
    return {
        "inference": _time(row.median_ms, row.median_ci95),
        "times ours": "1" if row.key == row.base else _ratio(row.ratio),
        "photo to label": _number(row.photo_ms, ".1f", " ms"),
        "cold start": _number(None if row.cold_ms is None else row.cold_ms / 1000, ".2f", " s"),
        "memory": _number(row.peak_mb, ".0f", " MB"),
        "on disk": _number(row.disk_mb, ".0f", " MB"),
        "answers as Keras": _share(row.agreement),
        "top-1": _share(row.top1),
    }


def _notes(rows: Sequence[Figures], setting: Setting) -> list[str]:
    host = setting.host
    threads = "1 thread" if setting.threads == 1 else f"{setting.threads} threads"
    machine = f"{host.name}, {host.cores} cores, {host.system.split()[0]}, Python {host.python}"
    notes = [
        f"{machine}; {setting.date}; {threads}; {setting.model}; {setting.pictures}; "
        f"{setting.rounds} rounds in turn.",
        "inference: from the input in memory to probabilities in memory, median with its 95 % interval. "
        "times ours: as a multiple of edge-classify's with the same kind of file in the same round, median "
        "(lowest to highest round). cold start and memory: a new process that classifies one photo. "
        "on disk: the runtime and all that it needs.",
        f"Versions: {', '.join(sorted({row.version for row in rows if row.version}))}.",
    ]
    remarks: dict[str, list[str]] = {}
    for row in rows:
        if row.remark and row.failure is None:
            remarks.setdefault(row.remark, []).append(f"{row.title} ({row.kind})")
    notes += [f"{' and '.join(titles)}: {remark}." for remark, titles in remarks.items()]
    notes += [
        f"Left out: {row.title} ({row.kind}): {row.failure}." for row in rows if row.failure is not None
    ]
    return [f"- {_escape(note)}" for note in notes]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_escape(cell) for cell in cells)} |"


def _escape(text: str) -> str:
    """Return text for one cell or one note: messages of runtimes may hold any characters."""
    return one_line(text).replace("|", "\\|").replace("<", "&lt;")


def _time(median: float | None, interval: tuple[float, float] | None) -> str:
    if median is None or interval is None:
        return "-"
    return f"{median:.2f} ms ({interval[0]:.2f} to {interval[1]:.2f})"


def _ratio(ratio: PairedRatio | None) -> str:
    return "-" if ratio is None else f"{ratio.median:.2f} ({ratio.lowest:.2f} to {ratio.highest:.2f})"


def _number(value: float | None, form: str, unit: str) -> str:
    return "-" if value is None else f"{value:{form}}{unit}"


def _share(share: Share | None) -> str:
    return "-" if share is None else f"{share.rate:.1%}"
