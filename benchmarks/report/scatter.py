"""Chart of accuracy against latency: how much accuracy a faster model costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..results.numbers import between, milliseconds, percent, percent_between
from ..results.result import MeasuredAccuracy
from .axes import WIDTH, Scale, draw_across, draw_upward, scale
from .devices import Device, ReportRow
from .drawing import Box, Drawing, Point, place_labels, shortened

_HEIGHT = 430.0
_FRAME = Box(52.0, 28.0, WIDTH - 8.0, _HEIGHT - 40.0)
_NAME = 190.0  # The most px that a name gets.


@dataclass(frozen=True)
class Scatter:
    """The chart, the number of names without room, and the number of models without a score."""

    svg: str
    unnamed: int
    unscored: int


@dataclass(frozen=True)
class _Dot:
    row: ReportRow
    accuracy: MeasuredAccuracy
    device: int
    at: Point

    @property
    def colour(self) -> str:
        return f"c{self.device % 8}"


def accuracy_against_latency(key: str, devices: Sequence[Device]) -> Scatter | None:
    """Draw every scored model, with one colour and shape for each device; None where no model was scored."""
    scored = [
        (row, row.result.accuracy, number)
        for number, device in enumerate(devices)
        for row in device.rows
        if row.result.accuracy is not None
    ]
    if not scored:
        return None
    across, upward = _scales([(row, accuracy) for row, accuracy, _ in scored])
    dots = [
        _Dot(row, accuracy, device, (across.at(row.result.latency.median_ms), upward.at(accuracy.top1 * 100)))
        for row, accuracy, device in scored
    ]
    drawing = Drawing(key, "Accuracy against latency", _description(dots), WIDTH, _HEIGHT)
    draw_across(drawing, across, _FRAME, f"ms an inference{', logarithmic' if across.log else ''}")
    draw_upward(drawing, upward, _FRAME, "Top-1, %", highest=100.0)
    for number in range(len(devices)):
        _draw_front(drawing, [dot for dot in dots if dot.device == number and dot.row.on_front])
    bars = [bar for dot in dots for bar in _draw_errors(drawing, dot, across, upward)]
    for dot in dots:
        hint = _hint(dot, devices[dot.device].name if len(devices) > 1 else None)
        style = f"{dot.colour} mark" if dot.row.on_front else f"{dot.colour} mark hollow"
        drawing.mark(dot.at, dot.device, style, hint)
    unnamed = _write_names(drawing, dots, bars)
    return Scatter(drawing.markup(), unnamed, sum(len(device.rows) for device in devices) - len(dots))


def _scales(scored: Sequence[tuple[ReportRow, MeasuredAccuracy]]) -> tuple[Scale, Scale]:
    times, rates = [], []
    for row, accuracy in scored:
        latency = row.result.latency
        times += [latency.median_ms, latency.p99_ms, *latency.median_ci95]
        rates += [accuracy.top1, *accuracy.top1_ci95]
    across = scale(times, _FRAME.left, _FRAME.right)
    return across, scale([rate * 100 for rate in rates], _FRAME.bottom, _FRAME.top, log=False)


def _draw_errors(drawing: Drawing, dot: _Dot, across: Scale, upward: Scale) -> list[Box]:
    """Draw both intervals and the line to p99, and return their places."""
    latency, (x, y) = dot.row.result.latency, dot.at
    left, right = (across.at(end) for end in latency.median_ci95)
    bottom, top = (upward.at(end * 100) for end in dot.accuracy.top1_ci95)
    p99 = across.at(latency.p99_ms)
    drawing.line((x, y), (p99, y), f"{dot.colour} tail")
    drawing.line((left, y), (right, y), f"{dot.colour} error")
    drawing.line((x, bottom), (x, top), f"{dot.colour} error")
    return [Box(left, y - 1, max(right, p99), y + 1), Box(x - 1, top, x + 1, bottom)]


def _draw_front(drawing: Drawing, dots: Sequence[_Dot]) -> None:
    """Draw steps through these dots, fastest first: a model below the steps is beaten by one of them."""
    if not dots:
        return
    steps = [(dots[0].at[0], _FRAME.bottom)]
    for dot in dots:
        steps += [(dot.at[0], steps[-1][1]), dot.at]
    steps += [(_FRAME.right, steps[-1][1])]
    drawing.lines(steps, f"{dots[0].colour} front")


def _write_names(drawing: Drawing, dots: Sequence[_Dot], bars: Sequence[Box]) -> int:
    """Write the names for which there is room, those on the front first; return the number of the others."""
    first = sorted(dots, key=lambda dot: not dot.row.on_front)
    names = [shortened(dot.row.name, _NAME) for dot in first]
    places = place_labels(names, [dot.at for dot in first], bars, _FRAME)
    for dot, name, label in zip(first, names, places, strict=True):
        if label is not None:
            box = label.box
            if label.far:
                nearest = (min(max(dot.at[0], box.left), box.right), min(max(dot.at[1], box.top), box.bottom))
                drawing.line(dot.at, nearest, "leader")
            style = f"{dot.colour} label"
            drawing.text(((box.left + box.right) / 2, box.bottom - 4), name, style, "middle", dot.row.name)
    return places.count(None)


def _description(dots: Sequence[_Dot]) -> str:
    front = [dot for dot in dots if dot.row.on_front]
    names = ", ".join(
        f"{dot.row.name} ({milliseconds(dot.row.result.latency.median_ms)}, {percent(dot.accuracy.top1)})"
        for dot in front[:10]
    )
    return f"{len(dots)} models; no other is both faster and more accurate than these: {names}"


def _hint(dot: _Dot, device: str | None) -> str:
    latency = dot.row.result.latency
    return (
        f"{dot.row.name}{f' on {device}' if device else ''}: "
        f"{milliseconds(latency.median_ms)} ({between(latency.median_ci95, latency.median_ms)}), "
        f"p99 {milliseconds(latency.p99_ms)}, "
        f"top-1 {percent(dot.accuracy.top1)} ({percent_between(dot.accuracy.top1_ci95)})"
    )
