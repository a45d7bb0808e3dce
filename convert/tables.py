"""What edge-convert prints for people: what each file lost, and which one to ship."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ..benchmarks.budget import Budget
from ..benchmarks.host import describe_host
from ..benchmarks.recommend import Candidate, Recommendation, recommend
from ..benchmarks.scoring.loss import Loss
from ..edge.console import print_table, printable
from ..edge.statistics.paired import describe_difference
from .converted import Converted

_LOST = (
    "file",
    "top-1",
    "95 %\ninterval",
    "points\nlost",
    "is the loss\nreal?",
    "same\nanswer",
    "probability off by\nmean, most",
    "calib.\nerror",
    "unknown\nbelow",
)
_SHIP = ("file", "MB", "top-1", "points\nlost", "median", "p99", "peak\nmemory", "")


def choose(files: Sequence[Converted], budget: Budget, max_drop: float) -> Recommendation:
    """Recommend one of the files that could be timed."""
    contenders = [
        Candidate(
            item.file,
            item.size_bytes,
            item.accuracy.top1 if item.accuracy else None,
            None if item.lost is None else Loss(item.lost),
            item.latency.median_ms,
            item.latency.p99_ms,
            item.latency.peak_rss_mb,
        )
        for item in files
        if item.latency is not None
    ]
    if not contenders:
        return Recommendation(None, "no file could be timed", {})
    return recommend(contenders, budget, max_drop)


def print_tables(files: Sequence[Converted], output: Path, advice: Recommendation) -> None:
    """Print both tables and the recommendation to stdout."""
    scored = [item for item in files if item.accuracy is not None]
    if scored:
        images = scored[0].accuracy.images if scored[0].accuracy else 0
        title = (
            f"Written to {output}; each compared with the model that it was made from, on {images:,} images"
        )
        print_table(title, _LOST, [_lost_row(item) for item in scored])
    host = describe_host()
    title = f"Which one to ship? Measured on {host.name}, 1 thread"
    print_table(title, _SHIP, [_ship_row(item, advice) for item in files])
    chosen = f"Ship {advice.name}" if advice.name else "Ship none of them"
    click.echo(printable(f"{chosen}: {advice.reason}."))


def _lost_row(item: Converted) -> tuple[str, ...]:
    accuracy, threshold = item.accuracy, item.output.threshold
    assert accuracy is not None
    low, high = accuracy.top1_ci95
    p_value = 1.0 if accuracy.p_value is None else accuracy.p_value
    return (
        item.file,
        f"{accuracy.top1:.2%}",
        f"{low * 100:.1f} to {high:.1%}",
        _points(item.lost),
        _verdict(item.lost or 0.0, p_value),
        f"{accuracy.float_agreement:.2%}",
        f"{accuracy.mean_difference:.4f}, {accuracy.largest_difference:.3f}",
        f"{accuracy.ece:.2%}",
        "-" if threshold is None else f"{threshold:.1%}",
    )


def _ship_row(item: Converted, advice: Recommendation) -> tuple[str, ...]:
    latency = item.latency
    memory = latency.peak_rss_mb if latency else None
    note = "ship this" if item.file == advice.name else advice.against(item.file)
    return (
        item.file,
        f"{item.size_bytes / 1e6:.2f}",
        f"{item.accuracy.top1:.2%}" if item.accuracy else "-",
        _points(item.lost) if item.accuracy or item.lost is None else f"about {_points(item.lost)}",
        f"{latency.median_ms:.2f} ms" if latency else "-",
        f"{latency.p99_ms:.2f} ms" if latency else "-",
        "-" if memory is None else f"{memory:.0f} MB",
        note,
    )


def _verdict(lost: float, p_value: float) -> str:
    if lost <= 0:
        return "-"
    return describe_difference(p_value)


def _points(lost: float | None) -> str:
    return "-" if lost is None else f"{lost * 100:.2f}"
