"""A repair report as text for people."""

from __future__ import annotations

from collections.abc import Sequence

from ...benchmarks.results.numbers import points
from ...edge.console import print_sentence
from ...edge.tables import DETAILS, TableColumn, print_table
from .report import Attempt, RepairReport
from .sensitivity import LayerError

_SHOWN = 10
_NAMED = 3
_LAYERS = (
    TableColumn("layer", words=True),
    TableColumn("operation", words=True),
    TableColumn("divergence, nats"),
    TableColumn("top-1 changed"),
)
_REPAIRS = (
    TableColumn("what was tried", words=True),
    TableColumn("points\nlost"),
    TableColumn("same\nanswer", 2),
    TableColumn("divergence,\nnats", 3),
    TableColumn("seconds", 1),
    TableColumn("latency,\nint8 = 1"),
    TableColumn("MB"),
    TableColumn("verdict", words=True),
)


def print_report(report: RepairReport, details: bool = False) -> None:
    """Print to stdout the file to ship, the harmed layers, the attempts and their costs.

    Without `details` the layers end with those that suffer most.
    """
    _print_paragraph(_state(report))
    _print_paragraph(_advice(report))
    print_sentence("")
    if report.harmful or not report.int8.passes:
        _print_layers(report, report.harmful if details else report.harmful[:_SHOWN])
    if len(report.attempts) > 1:
        _print_attempts(report)


def print_short_report(report: RepairReport) -> None:
    """Print to stdout what 8 bits cost, which layers suffer most, and the file to ship."""
    worst = ", ".join(error.name for error in report.harmful[:_NAMED])
    more = f" and {len(report.harmful) - _NAMED} more" if len(report.harmful) > _NAMED else ""
    suffer = f" Layers that suffer, worst first: {worst}{more}." if worst else ""
    _print_paragraph(f"{_state(report)}{suffer} {_advice(report, named=False)}")


def _state(report: RepairReport) -> str:
    judged = f"on {report.images} validation images"
    if report.labelled and report.float_top1 is not None:
        top1 = report.float_top1
        return (
            f"{report.name}: {judged}, the float model has {top1:.1%} right, and the 8-bit file "
            f"{top1 - report.int8.drop:.1%}. {points(report.max_drop)} may be lost."
        )
    return (
        f"{report.name}: {judged} of unknown classes, the 8-bit file gives answers which the float model "
        f"thinks {report.int8.drop * 100:.2f} points less probable than its own. "
        f"{points(report.max_drop)} may be lost."
    )


def _print_layers(report: RepairReport, shown: Sequence[LayerError]) -> None:
    rows = [
        (error.name, error.operation, f"{error.divergence:.3f}", f"{error.changed:.0%}") for error in shown
    ]
    if not rows:
        _print_paragraph("No layer alone changes the answers much: the loss adds up over many.")
        return
    title = "Layers that suffer, each quantized alone, worst first"
    print_table(title, _LAYERS, rows)
    if len(report.harmful) > len(shown):
        print_sentence(f"  and {len(report.harmful) - len(shown)} more, which {DETAILS} shows")
    for error in shown:
        _print_paragraph(f"{error.name}: {error.seen}.", "  ")
    print_sentence("")


def _print_attempts(report: RepairReport) -> None:
    rows = [
        (
            attempt.what,
            f"{attempt.drop * 100:.2f}",
            f"{attempt.same:.1%}",
            f"{attempt.divergence:.4f}",
            f"{attempt.seconds:.1f}",
            "-" if attempt.latency_ratio is None else f"{attempt.latency_ratio:.2f}",
            f"{len(attempt.flatbuffer) / 1e6:.2f}",
            _verdict(attempt, report),
        )
        for attempt in report.attempts
    ]
    print_table("Repairs, in the order in which they were tried", _REPAIRS, rows)


def _verdict(attempt: Attempt, report: RepairReport) -> str:
    if attempt is report.chosen:
        return "chosen"
    return "passes" if attempt.passes else ""


def _advice(report: RepairReport, named: bool = True) -> str:
    """Return what to ship; with `named` also which layers stay in float."""
    chosen, limit = report.chosen, points(report.max_drop)
    if chosen is None:
        best = min(report.attempts, key=lambda attempt: attempt.drop)
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
        which = f": {', '.join(chosen.kept_float)}" if named else ""
        kept = f" It keeps {len(chosen.kept_float)} layers in float{which}."
    return f"Ship the repaired file ({chosen.what}): it loses {chosen.drop * 100:.2f} points{cost}.{kept}"


def _print_paragraph(text: str, indent: str = "") -> None:
    print_sentence(text, indent, indent + "  ")
