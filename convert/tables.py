"""The tables of edge-convert: how much each file lost, and which one to ship."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..benchmarks.budget import Budget
from ..benchmarks.host import describe_host
from ..benchmarks.recommend import Candidate, Recommendation, recommend
from ..benchmarks.scoring.loss import AnyLoss
from ..edge.card import Accuracy
from ..edge.console import print_sentence
from ..edge.tables import TableColumn, known_columns, print_table
from .output import Converted

_LOST = (
    "file",
    "top-1",
    "95 %\ninterval",
    "points\nlost",
    "at most\nlost, 95 %",
    "same\nanswer",
    "probability off by\nmean, most",
    "calib.\nerror",
    "unsure\nbelow",
    "right, but\nunknown",
)
_VERDICT = TableColumn("verdict", words=True)
_TIMED = ("file", "MB", "top-1", "points\nlost", "median", "p99", "peak\nmemory", _VERDICT)
# What a narrow terminal leaves out first has the highest rank.
_SHORT = (
    TableColumn("file", words=True),
    TableColumn("MB", 2),
    TableColumn("top-1"),
    TableColumn("95 % interval", 1),
    TableColumn("median"),
    TableColumn("p99", 3),
    _VERDICT,
)


def choose(files: Sequence[Converted], budget: Budget, max_drop: float) -> Recommendation:
    """Recommend one of the files that could be timed."""
    candidates = [
        Candidate(
            item.file,
            item.size_bytes,
            item.answers,
            item.loss,
            item.latency.median_ms,
            item.latency.p99_ms,
            item.latency.peak_rss_mb,
            accuracy=item.accuracy,
        )
        for item in files
        if item.latency is not None
    ]
    if not candidates:
        return Recommendation(None, "no file could be timed", {})
    return recommend(candidates, budget, max_drop)


def print_tables(
    files: Sequence[Converted], output: Path, advice: Recommendation, details: bool = False
) -> None:
    """Print the recommendation, then a short table of the files, or with `details` all figures, to stdout."""
    print_sentence(f"Ship {advice.name or 'none of them'}: {advice.reason}.")
    for line in advice.remarks():
        print_sentence(line)
    scored = [(item, item.accuracy) for item in files if item.accuracy is not None]
    images = f"{scored[0][1].images:,} images" if scored else ""
    timed = f"on {describe_host().name}, 1 thread"
    print_sentence("")
    if not details:
        on = f"top-1 on {images}, " if scored else ""
        rows = [_short_row(item, advice) for item in files]
        print_table(f"Written to {output}; {on}times {timed}", *known_columns(_SHORT, rows), whole=False)
        return
    if scored:
        title = f"Written to {output}; each compared with the model that it was made from, on {images}"
        rows = [_lost_row(*pair) for pair in scored]
        if all(item.output.unknown is None for item, _ in scored):
            print_table(title, _LOST[:-1], [row[:-1] for row in rows])
        else:
            print_table(title, _LOST, rows)
    print_table(f"Measured {timed}", _TIMED, [_timed_row(item, advice) for item in files])


def _short_row(item: Converted, advice: Recommendation) -> tuple[str, ...]:
    accuracy, latency = item.accuracy, item.latency
    return (
        item.file,
        f"{item.size_bytes / 1e6:.2f}",
        f"{accuracy.top1:.2%}" if accuracy else "-",
        _interval(accuracy) if accuracy else "-",
        f"{latency.median_ms:.2f} ms" if latency else "-",
        f"{latency.p99_ms:.2f} ms" if latency else "-",
        advice.verdict(item.file) if latency else "not timed",
    )


def _lost_row(item: Converted, accuracy: Accuracy) -> tuple[str, ...]:
    threshold = item.output.threshold
    return (
        item.file,
        f"{accuracy.top1:.2%}",
        _interval(accuracy),
        _points(item.loss),
        "-" if item.loss is None else f"{item.loss.at_most() * 100:.2f}",
        f"{accuracy.float_agreement:.2%}",
        f"{accuracy.mean_difference:.4f}, {accuracy.largest_difference:.3f}",
        f"{accuracy.ece:.2%}",
        "-" if threshold is None else f"{threshold:.1%}",
        "-" if accuracy.lost_to_unknown is None else f"{accuracy.lost_to_unknown:.2%}",
    )


def _timed_row(item: Converted, advice: Recommendation) -> tuple[str, ...]:
    latency = item.latency
    memory = latency.peak_rss_mb if latency else None
    note = "ship this" if item.file == advice.name else advice.against(item.file)
    return (
        item.file,
        f"{item.size_bytes / 1e6:.2f}",
        f"{item.accuracy.top1:.2%}" if item.accuracy else "-",
        _points(item.loss) if item.accuracy or item.loss is None else f"about {_points(item.loss)}",
        f"{latency.median_ms:.2f} ms" if latency else "-",
        f"{latency.p99_ms:.2f} ms" if latency else "-",
        "-" if memory is None else f"{memory:.0f} MB",
        note,
    )


def _interval(accuracy: Accuracy) -> str:
    low, high = accuracy.top1_ci95
    return f"{low * 100:.1f} to {high:.1%}"


def _points(loss: AnyLoss | None) -> str:
    return "-" if loss is None else f"{loss.fraction * 100:.2f}"
