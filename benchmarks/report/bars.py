"""Charts with one row for each model: tails, multiples of the time of the base, stages."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TypeVar

from ..results.numbers import between, milliseconds, number
from ..results.result import Stages
from .axes import Rows, Scale, bounded, draw_across, scale
from .devices import ReportRow

Item = TypeVar("Item")
_CUT = 4.0
STAGES = ("decode", "resize", "invoke", "post")


def tails_chart(key: str, rows: Sequence[ReportRow]) -> str:
    """Draw p90, p95, p99 and the longest time as multiples of each model's own median."""
    latencies = [row.result.latency for row in rows]
    figures = [f"{number(it.median_ms)} / {number(it.p99_ms)}" for it in latencies]
    layout = Rows.of([row.name for row in rows], figures)
    across = scale([1.0, *(it.max_ms / it.median_ms for it in latencies)], layout.left, layout.right)
    about = "; ".join(f"{row.name}: median / p99 {figure} ms" for row, figure in _first(rows, figures))
    drawing = layout.start(key, "Times of single inferences as multiples of their median", about)
    note = ", logarithmic" if across.log else ""
    draw_across(drawing, across, layout.frame, f"multiple of the model's own median{note}")
    for row, it in enumerate(latencies):
        y = layout.middle(row)
        p90, p95, p99, longest = (
            across.at(time / it.median_ms) for time in (it.p90_ms, it.p95_ms, it.p99_ms, it.max_ms)
        )
        hint = (
            f"{layout.names[row]}: median {number(it.median_ms)}, p90 {number(it.p90_ms)}, "
            f"p95 {number(it.p95_ms)}, p99 {number(it.p99_ms)}, longest {number(it.max_ms)} ms"
        )
        drawing.line((across.at(1.0), y), (longest, y), "c0 tail")
        drawing.bar(across.at(1.0), p99, y - 4, 8, "c0 light", hint)
        drawing.bar(across.at(1.0), p90, y - 7, 14, "c0 bar", hint)
        for x in (p95, p99):
            drawing.line((x, y - 7), (x, y + 7), "c0 error")
        drawing.mark((longest, y), 0, "c0 mark hollow", hint, size=3)
    layout.write(drawing, figures)
    return drawing.markup()


def ratios_chart(key: str, rows: Sequence[ReportRow]) -> str | None:
    """Draw each time as a multiple of that of the base, with interval and range; None without any ratio."""
    compared = [(row, row.result.ratio) for row in rows if row.result.ratio is not None]
    if not compared:
        return None
    figures = [f"{number(ratio.median)} ({between(ratio.ci95, ratio.median)})" for _, ratio in compared]
    layout = Rows.of([row.name for row, _ in compared], figures)
    ends = [end for _, it in compared for end in (it.lowest, it.highest, *it.ci95)]
    across = scale([*ends, 1.0], layout.left, layout.right)
    bases = ", ".join(dict.fromkeys(row.base for row, _ in compared))
    about = "; ".join(f"{row.name}: {figure}" for (row, _), figure in _first(compared, figures))
    drawing = layout.start(key, f"Multiples of the time of {bases}", about)
    title = f"multiple of the time of {bases}" if len(bases) < 60 else "multiple of the base's time"
    draw_across(drawing, across, layout.frame, f"{title}{', logarithmic' if across.log else ''}")
    one = across.at(1.0)
    drawing.line((one, layout.frame.top), (one, layout.frame.bottom), "base")
    for index, (row, ratio) in enumerate(compared):
        y = layout.middle(index)
        hint = (
            f"{row.name}: {figures[index]} times the time of {row.base}, "
            f"turns from {number(ratio.lowest)} to {number(ratio.highest)}"
        )
        drawing.line((across.at(ratio.lowest), y), (across.at(ratio.highest), y), "c0 tail")
        drawing.bar(across.at(ratio.ci95[0]), across.at(ratio.ci95[1]), y - 4, 8, "c0 light", hint)
        drawing.mark((across.at(ratio.median), y), 0, "c0 mark", hint, size=4)
    layout.write(drawing, figures)
    return drawing.markup()


def stages_chart(key: str, measured: Sequence[tuple[str, Stages]]) -> str:
    """Draw the stages from picture to answer, as medians one after the other; `measured` is by name.

    Bars of more than four times the median length are cut, so that the others can be seen.
    """
    figures = [milliseconds(stages.whole.median) for _, stages in measured]
    layout = Rows.of([name for name, _ in measured], figures)
    sums = [sum(getattr(stages, stage).median for stage in STAGES) for _, stages in measured]
    longest = bounded(min(max(sums), _CUT * median(sums)))
    across = Scale(0.0, max(longest, 1e-9) * 1.05, layout.left, layout.right)
    about = "; ".join(f"{name}: {figure}" for (name, _), figure in _first(measured, figures))
    drawing = layout.start(key, "From picture to answer", about)
    draw_across(drawing, across, layout.frame, "ms a picture, medians")
    for row, (name, stages) in enumerate(measured):
        begun, y = 0.0, layout.middle(row) - 8
        for colour, stage in enumerate(STAGES):
            time = getattr(stages, stage)
            hint = f"{name}, {stage}: median {number(time.median)}, p99 {number(time.p99)} ms"
            if time.median > 0 and begun < across.high:
                drawing.bar(across.at(begun), across.at(begun + time.median), y, 16, f"s{colour} bar", hint)
            begun += time.median
        if begun > across.high:
            drawing.lines([(layout.right - 14, y - 2), (layout.right - 8, y + 18)], "cut")
    layout.write(drawing, figures)
    return drawing.markup()


def _first(items: Sequence[Item], figures: Sequence[str]) -> list[tuple[Item, str]]:
    """Return the first ten pairs: a spoken description must be short."""
    return list(zip(items, figures, strict=True))[:10]
