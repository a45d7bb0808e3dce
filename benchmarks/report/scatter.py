"""Chart of accuracy against latency: how much accuracy a faster model costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..results.numbers import between, milliseconds, percent, percent_between
from ..results.result import MeasuredAccuracy
from .axes import WIDTH, Scale, draw_across, draw_upward, scale
from .devices import Device, ReportRow
from .drawing import Box, Drawing, Label, Point, place_labels, shortened

_HEIGHT = 430.0
_NAME = 190.0  # The most px that a name gets.
_NARROW = 340.0  # px of the chart for a phone: narrower than its screen, so that nothing is scaled down.
# px from a point to its number: somewhere there is room, since numbers are small.
_REACHES = (9.0, 16.0, 24.0, 34.0, 46.0, 60.0, 80.0, 105.0, 135.0, 170.0)
_TAIL = 1.5  # Lines to p99 end at the edge beyond so many times the longest median.
_SAME = 4.0  # Points that are so many px apart share a number's place.


@dataclass(frozen=True)
class Scatter:
    """The chart.

    `numbered` has the name of each number, from 1, where there was no room for names; it is empty where the
    chart shows all names. `unplaced` counts the marks beside which there was no room even for numbers.
    """

    svg: str
    numbered: tuple[str, ...]
    unplaced: int


@dataclass(frozen=True)
class _Dot:
    row: ReportRow
    accuracy: MeasuredAccuracy
    device: int
    at: Point

    @property
    def colour(self) -> str:
        return f"c{self.device % 8}"


def accuracy_against_latency(key: str, devices: Sequence[Device], narrow: bool = False) -> Scatter | None:
    """Draw every scored model, with one colour and shape for each device; None where no model was scored.

    `narrow` is for a phone. Either all names find room, or all models are numbered, the fastest first.
    """
    scored = [
        (row, row.result.accuracy, number)
        for number, device in enumerate(devices)
        for row in device.rows
        if row.result.accuracy is not None
    ]
    if not scored:
        return None
    width = _NARROW if narrow else WIDTH
    frame = Box(46.0 if narrow else 52.0, 28.0, width - 8.0, _HEIGHT - 40.0)
    across, upward = _scales([(row, accuracy) for row, accuracy, _ in scored], frame)
    dots = [
        _Dot(row, accuracy, device, (across.at(row.result.latency.median_ms), upward.at(accuracy.top1 * 100)))
        for row, accuracy, device in sorted(scored, key=lambda item: item[0].result.latency.median_ms)
    ]
    drawing = Drawing(key, "Accuracy against latency", _description(dots), width, _HEIGHT)
    title = f"ms an inference{', logarithmic' if across.log else ''}"
    draw_across(drawing, across, frame, title, most=5 if narrow else 7)
    draw_upward(drawing, upward, frame, "Top-1, %", highest=100.0)
    for number in range(len(devices)):
        _draw_front(drawing, [dot for dot in dots if dot.device == number and dot.row.on_front], frame)
    bars = [bar for dot in dots for bar in _draw_errors(drawing, dot, across, upward)]
    labels = _Labels.of(dots, bars, frame)
    labels.draw_leaders(drawing)
    for dot in sorted(dots, key=lambda dot: dot.row.on_front):  # The filled ones on top of their equals.
        hint = _hint(dot, devices[dot.device].name if len(devices) > 1 else None)
        style = f"{dot.colour} mark" if dot.row.on_front else f"{dot.colour} mark hollow"
        drawing.mark(dot.at, dot.device, style, hint)
    labels.write(drawing)
    names = tuple(
        f"{dot.row.name} on {devices[dot.device].name}" if len(devices) > 1 else dot.row.name for dot in dots
    )
    return Scatter(drawing.markup(), names if labels.numbers else (), labels.unplaced)


def _scales(scored: Sequence[tuple[ReportRow, MeasuredAccuracy]], frame: Box) -> tuple[Scale, Scale]:
    times, rates = [], []
    # On a busy machine p99 is many times the median, and medians would all lie at the left edge.
    most = _TAIL * max(row.result.latency.median_ms for row, _ in scored)
    for row, accuracy in scored:
        latency = row.result.latency
        times += [latency.median_ms, min(latency.p99_ms, most), *latency.median_ci95]
        rates += [accuracy.top1, *accuracy.top1_ci95]
    across = scale(times, frame.left, frame.right)
    return across, scale([rate * 100 for rate in rates], frame.bottom, frame.top, log=False)


def _draw_errors(drawing: Drawing, dot: _Dot, across: Scale, upward: Scale) -> list[Box]:
    """Draw both intervals and the line to p99, and return their places."""
    latency, (x, y) = dot.row.result.latency, dot.at
    left, right = (across.at(end) for end in latency.median_ci95)
    bottom, top = (upward.at(end * 100) for end in dot.accuracy.top1_ci95)
    p99 = across.at(latency.p99_ms)
    drawing.line((x, y), (p99, y), f"{dot.colour} tail")
    drawing.line((left, y), (right, y), f"{dot.colour} whisker")
    drawing.line((x, bottom), (x, top), f"{dot.colour} whisker")
    return [Box(left, y - 1, max(right, p99), y + 1), Box(x - 1, top, x + 1, bottom)]


def _draw_front(drawing: Drawing, dots: Sequence[_Dot], frame: Box) -> None:
    """Draw steps through these dots, fastest first: a model below the steps is beaten by one of them."""
    if not dots:
        return
    steps = [(dots[0].at[0], frame.bottom)]
    for dot in dots:
        steps += [(dot.at[0], steps[-1][1]), dot.at]
    steps += [(frame.right, steps[-1][1])]
    drawing.lines(steps, f"{dots[0].colour} front")


@dataclass(frozen=True)
class _Labels:
    """What is written beside the marks: names, or with `numbers` their numbers from 1, where names lack room.

    `texts` holds for each label its dot, its text, and its place.
    """

    texts: tuple[tuple[_Dot, str, Label], ...]
    numbers: bool
    unplaced: int = 0

    @classmethod
    def of(cls, dots: Sequence[_Dot], bars: Sequence[Box], frame: Box) -> _Labels:
        """Find places; those on the front are placed first."""
        first = sorted(dots, key=lambda dot: not dot.row.on_front)
        names = [shortened(dot.row.name, _NAME) for dot in first]
        places = place_labels(names, [dot.at for dot in first], bars, frame)
        named = tuple(
            (dot, name, place) for dot, name, place in zip(first, names, places, strict=True) if place
        )
        # A name that had to be shortened may be that of several models.
        if len(named) == len(dots) and names == [dot.row.name for dot in first]:
            return cls(named, False)
        groups = _together(dots)
        texts = [number_ranges(numbers) for _, numbers in groups]
        places = place_labels(texts, [dot.at for dot, _ in groups], bars, frame, _REACHES)
        numbered = tuple(
            (dot, text, place) for (dot, _), text, place in zip(groups, texts, places, strict=True) if place
        )
        return cls(numbered, True, len(groups) - len(numbered))

    def draw_leaders(self, drawing: Drawing) -> None:
        """Draw a line to each label that may seem to be another mark's."""
        for dot, _, label in self.texts:
            if label.far:
                drawing.line(dot.at, label.box.nearest(dot.at), f"{dot.colour} leader")

    def write(self, drawing: Drawing) -> None:
        """Write the texts."""
        for dot, text, label in self.texts:
            hint = None if self.numbers else dot.row.name
            drawing.label(label.box, text, f"{dot.colour} label", hint)


def _together(dots: Sequence[_Dot]) -> list[tuple[_Dot, list[int]]]:
    """Return dots with their numbers, from 1; those that lie on the same place are one."""
    groups: list[tuple[_Dot, list[int]]] = []
    for number, dot in enumerate(dots, 1):
        same = next((numbers for other, numbers in groups if math.dist(other.at, dot.at) < _SAME), None)
        if same is None:
            groups.append((dot, [number]))
        else:
            same.append(number)
    return groups


def number_ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers in few letters, such as "1-3, 7"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)


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
