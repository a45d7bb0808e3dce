"""The doctor's findings as text for people."""

from __future__ import annotations

import textwrap

import click

from ...benchmarks.results.numbers import points
from ...edge.console import print_table, printable
from .treatment import Attempt, Treatment

_SHOWN = 10
_WIDTH = 100


def print_treatment(treatment: Treatment) -> None:
    """Print to stdout which layers suffer and why, what was tried, what it cost, and which file to ship."""
    _print_paragraph(_state(treatment))
    if treatment.harmful or not treatment.int8.passes:
        _print_layers(treatment)
    if len(treatment.attempts) > 1:
        _print_attempts(treatment)
    _print_paragraph(_advice(treatment))


def _state(treatment: Treatment) -> str:
    judged = f"on {treatment.images} validation images"
    if treatment.labelled and treatment.float_top1 is not None:
        top1 = treatment.float_top1
        return (
            f"{treatment.name}: {judged}, the float model has {top1:.1%} right, and the 8-bit file "
            f"{top1 - treatment.int8.drop:.1%}. {points(treatment.max_drop)} may be lost."
        )
    return (
        f"{treatment.name}: {judged} of unknown classes, the 8-bit file gives answers which the float model "
        f"thinks {treatment.int8.drop * 100:.2f} points less probable than its own. "
        f"{points(treatment.max_drop)} may be lost."
    )


def _print_layers(treatment: Treatment) -> None:
    rows = [
        (error.name, error.operation, f"{error.divergence:.3f}", f"{error.changed:.0%}")
        for error in treatment.harmful[:_SHOWN]
    ]
    if not rows:
        _print_paragraph("No layer alone changes the answers much: the loss adds up over many.")
        return
    title = "Layers that suffer, each quantized alone, worst first"
    print_table(title, ("layer", "operation", "divergence, nats", "top-1 changed"), rows)
    if len(treatment.harmful) > _SHOWN:
        click.echo(f"  and {len(treatment.harmful) - _SHOWN} more")
    for error in treatment.harmful[:_SHOWN]:
        _print_paragraph(f"{error.name}: {error.seen}.", "  ")


def _print_attempts(treatment: Treatment) -> None:
    rows = [
        (
            attempt.what,
            f"{attempt.drop * 100:.2f}",
            "-" if attempt.latency_ratio is None else f"{attempt.latency_ratio:.2f}",
            f"{len(attempt.flatbuffer) / 1e6:.2f}",
            _verdict(attempt, treatment),
        )
        for attempt in treatment.attempts
    ]
    columns = ("what was tried", "points lost", "latency, int8 = 1", "MB", "")
    print_table("Repairs, in the order in which they were tried", columns, rows)


def _verdict(attempt: Attempt, treatment: Treatment) -> str:
    if attempt is treatment.chosen:
        return "chosen"
    return "passes" if attempt.passes else ""


def _advice(treatment: Treatment) -> str:
    chosen, limit = treatment.chosen, points(treatment.max_drop)
    if chosen is None:
        best = min(treatment.attempts, key=lambda attempt: attempt.drop)
        return (
            f"Nothing brings the loss down to {limit}; the least is {best.drop * 100:.2f} ({best.what}). "
            "Ship the float16 file, half as large as float32 and as good. Or train again with "
            "weight decay, which keeps channels alike, or allow a larger --max-drop."
        )
    if chosen.kind == "int8":
        return f"The 8-bit file is within {limit}: ship it. There is nothing to repair."
    cost = "" if chosen.latency_ratio is None else f", at {chosen.latency_ratio:.2f} times the latency"
    kept = ""
    if chosen.kept_float:
        kept = f" It keeps {len(chosen.kept_float)} layers in float: {', '.join(chosen.kept_float)}."
    return f"Ship the repaired file ({chosen.what}): it loses {chosen.drop * 100:.2f} points{cost}.{kept}"


def _print_paragraph(text: str, indent: str = "") -> None:
    click.echo(textwrap.fill(printable(text), _WIDTH, initial_indent=indent, subsequent_indent=indent + "  "))
