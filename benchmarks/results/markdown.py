"""Results as tables for a README: with the machine, the versions, the date and the command."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...edge.console import one_line
from .machines import Machine, by_machine
from .names import result_names
from .result import Failure, Result
from .tables import ACCURACY, LATENCY, Column, accuracy_title, columns_of, facts, shared_caveats

# What Markdown obeys, of which a backslash takes the meaning, and what begins links without any sign.
_ACTIVE = re.compile(r"[\\`*_{}\[\]|~$#!@^]|(?<=www)\.|:(?=//)")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def to_markdown(results: Sequence[Result | Failure], command: str | None = None) -> str:
    """Return tables in GitHub's Markdown, machine by machine, and notes below them.

    `command` is what measured them. Text from results is escaped: files and labels may be called anything.
    """
    parts = [part for machine in by_machine(results) for part in _machine(machine)]
    if command is not None:
        parts.append(f"Measured by:\n\n    {one_line(command)}")
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    marked = _ACTIVE.sub(lambda match: f"\\{match[0]}", one_line(text))
    return re.sub("[&<>]", lambda match: _HTML[match[0]], marked)


def _machine(machine: Machine) -> list[str]:
    """Return title, tables and notes; the notes' numbers stand behind the names that they are about."""
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
