"""Charts over time: blocks in the order in which they were measured, and soaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..results.numbers import milliseconds, number, signed_percent
from ..results.result import Latency, Soak
from .axes import WIDTH, Scale, bounded, draw_across, draw_upward, scale
from .devices import ReportRow
from .drawing import Box, Drawing, Point

_SMALL = Box(34.0, 8.0, 228.0, 76.0)
_LEAST_RANGE = 2.0  # Per cent: smaller differences are no drift, and must not look like one.
_PANEL, _GAP = 96.0, 30.0


def block_charts(key: str, rows: Sequence[ReportRow]) -> list[tuple[str, str]]:
    """Return a name and a small chart for each model: its blocks relative to its median, in per cent.

    All charts have the same range, so that they can be compared.
    """
    deviations = [abs(value) for row in rows for values in _blocks(row.result.latency) for value in values]
    most = bounded(max([_LEAST_RANGE, *deviations])) * 1.05
    upward = Scale(-most, most, _SMALL.bottom, _SMALL.top)
    return [
        (row.name, _block_chart(f"{key}-{n}", row, upward))
        for n, row in enumerate(rows)
        if any(row.result.latency.blocks)
    ]


def _blocks(latency: Latency) -> list[list[float]]:
    return [[(block / latency.median_ms - 1) * 100 for block in blocks] for blocks in latency.blocks]


def _block_chart(key: str, row: ReportRow, upward: Scale) -> str:
    processes = _blocks(row.result.latency)
    every = [value for values in processes for value in values]
    about = (
        f"{len(every)} blocks of {len(processes)} processes, "
        f"from {signed_percent(min(every) / 100)} to {signed_percent(max(every) / 100)} of the median"
    )
    drawing = Drawing(key, f"Blocks of {row.name}", about, _SMALL.right + 4, _SMALL.bottom + 6)
    for value in (upward.high / 1.05, 0.0, upward.low / 1.05):
        y = upward.at(value)
        drawing.line((_SMALL.left, y), (_SMALL.right, y), "grid")
        drawing.text((_SMALL.left - 4, y + 4), f"{value:+.0f}" if value else "0", "tick", "end")
    across = Scale(-0.5, max(len(every) - 0.5, 0.5), _SMALL.left, _SMALL.right)
    begun = 0
    for process, values in enumerate(processes):
        if begun:
            x = across.at(begun - 0.5)
            drawing.line((x, _SMALL.top), (x, _SMALL.bottom), "leader")
        places = [(across.at(begun + n), upward.at(value)) for n, value in enumerate(values)]
        drawing.lines(places, "c0 course")
        for place, value in zip(places, values, strict=True):
            hint = f"Process {process + 1}: {signed_percent(value / 100)}"
            drawing.mark(place, 0, "c0 mark", hint, size=1.8)
        begun += len(values)
    return drawing.markup()


@dataclass(frozen=True)
class _Panel:
    """One quantity of a soak: its title, the smallest range that is shown, and lines of (style, values)."""

    title: str
    least: float
    lines: tuple[tuple[str, list[float | None]], ...]

    def known(self) -> list[float]:
        return [value for _, values in self.lines for value in values if value is not None]


def soak_chart(key: str, name: str, soak: Soak) -> str:
    """Draw latency, temperature, clock, neighbours and memory of a soak over the same minutes.

    Quantities that the machine does not report are left out.
    """
    panels = [panel for panel in _panels(soak) if panel.known()]
    medians = [point.median_ms for point in soak.points]
    about = (
        f"{number(soak.minutes)} minutes; medians of stretches between {milliseconds(min(medians))} and "
        f"{milliseconds(max(medians))}; from the first tenth to the last {signed_percent(soak.slowdown)}"
    )
    drawing = Drawing(key, f"Soak of {name}", about, WIDTH, len(panels) * (_PANEL + _GAP) + 40)
    minutes = [point.seconds / 60 for point in soak.points]
    across = Scale(0.0, max(*minutes, 1e-3), 52.0, WIDTH - 8.0)
    for index, panel in enumerate(panels):
        top = index * (_PANEL + _GAP) + 26
        frame = Box(across.start, top, across.end, top + _PANEL)
        draw_across(drawing, across, frame, "minutes" if index == len(panels) - 1 else None)
        _draw_panel(drawing, panel, minutes, across, frame)
    return drawing.markup()


def _panels(soak: Soak) -> list[_Panel]:
    points = soak.points
    shortest = min(point.median_ms for point in points)
    return [
        _Panel("Latency, ms: median, and p99 (paler)", shortest * 0.1, (
            ("c0 course pale", [point.p99_ms for point in points]),
            ("c0 course", [point.median_ms for point in points]),
        )),
        _Panel("Temperature, °C", 10.0, (("c1 course", [point.temperature_c for point in points]),)),
        _Panel("Clock, MHz", 200.0, (("c2 course", [point.clock_mhz for point in points]),)),
        _Panel("Cores busy with other programs", 0.5,
               (("c3 course", [point.neighbours for point in points]),)),
        _Panel("Resident memory, MB", 5.0, (("c4 course", [point.rss_mb for point in points]),)),
    ]  # fmt: skip


def _draw_panel(drawing: Drawing, panel: _Panel, minutes: Sequence[float], across: Scale, frame: Box) -> None:
    """Draw the lines of a panel, with gaps where a value is not known."""
    upward = scale(panel.known(), frame.bottom, frame.top, log=False, least=panel.least)
    draw_upward(drawing, upward, frame, panel.title, most=4)
    for style, values in panel.lines:
        stretch: list[Point] = []
        for minute, value in zip([*minutes, 0.0], [*values, None], strict=True):
            if value is not None:
                stretch.append((across.at(minute), upward.at(value)))
            elif stretch:
                drawing.lines(stretch, style)
                stretch = []
