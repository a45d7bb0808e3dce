"""Scales and axes of charts, and the layout of charts with one row for each name."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from .drawing import Box, Drawing, shortened, text_width

WIDTH = 720.0  # px of every chart; the page scales it down to the screen.
ROW = 24.0
_NAMES = 250.0  # The most px for names at the left of bars.
_AXIS = 40.0
# From this ratio of the largest to the smallest value on, small values only differ visibly on a log axis.
_LOG_FROM, _LOG_TO = 5.0, 1e12
_MOST = 1e15  # Larger figures are no measurements, and would make all others look alike.
_PADDING = 0.04


@dataclass(frozen=True)
class Scale:
    """Maps `low`..`high` to the places `start`..`end` in px, which may run downwards (as heights do)."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the place of a value; a value outside of the range is put at its end."""
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 7) -> list[float]:
        """Return round values (1, 2 or 5 times a power of ten) within the range, in ascending order."""
        if self.log:
            for digits in ((1, 2, 5), (1, 3), (1,)):
                marks = self._powers(digits)
                if 3 <= len(marks) <= most:
                    return marks
        return self._steps(most)

    def _powers(self, digits: tuple[int, ...]) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        marks = [digit * 10.0**power for power in range(first, last + 1) for digit in digits]
        return [mark for mark in marks if self.low <= mark <= self.high]

    def _steps(self, most: int) -> list[float]:
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= rough)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [float(f"{index * step:.12g}") for index in range(first, last + 1)]


@dataclass(frozen=True)
class Rows:
    """A chart with one row for each name: names at the left, figures at the right, a common axis below."""

    names: tuple[str, ...]
    left: float
    right: float

    @classmethod
    def of(cls, names: list[str], figures: list[str]) -> Rows:
        """Return a layout with room for these names and figures."""
        left = min(max(text_width(name) for name in names), _NAMES) + 10
        right = WIDTH - max(text_width(figure) for figure in figures) - 10
        return cls(tuple(names), left, right)

    @property
    def frame(self) -> Box:
        """The area of the rows."""
        return Box(self.left, 8.0, self.right, 8.0 + ROW * len(self.names))

    def start(self, key: str, title: str, description: str) -> Drawing:
        """Return a drawing of the right size."""
        return Drawing(key, title, description, WIDTH, self.frame.bottom + _AXIS)

    def middle(self, number: int) -> float:
        """Return the y of the middle of a row."""
        return self.frame.top + ROW * (number + 0.5)

    def write(self, drawing: Drawing, figures: list[str]) -> None:
        """Write the names and the figures."""
        for number, (name, figure) in enumerate(zip(self.names, figures, strict=True)):
            y = self.middle(number) + 4
            drawing.text((0, y), shortened(name, self.left - 10), "name", hint=name)
            drawing.text((WIDTH, y), figure, "figure", "end")


def scale(
    values: Iterable[float], start: float, end: float, log: bool | None = None, least: float = 0.0
) -> Scale:
    """Return a scale for these values with some room at both ends.

    `log` None: logarithmic where the largest is 5 times the smallest or more, and all are above 0. A linear
    scale spans at least `least`, so that noise does not look like a change.
    """
    known = [bounded(value) for value in values]
    low, high = min(known), max(known)
    if log is None:
        log = low > 0 and high >= low * _LOG_FROM and low >= high / _LOG_TO
    if log:
        room = max((high / low) ** _PADDING, 1.02)
        return Scale(low / room, high * room, start, end, log=True)
    room = max((high - low) * _PADDING, (least - (high - low)) / 2, abs(high) * 0.01, 1e-6)
    bottom = max(low - room, 0.0) if low >= 0 else low - room
    return Scale(bottom, max(high + room, bottom + least), start, end)


def bounded(value: float) -> float:
    """Return a figure that can be drawn."""
    return min(max(value, -_MOST), _MOST)


def tick_text(value: float) -> str:
    """Return an axis' figure without needless zeros."""
    return f"{value:,.10g}" if abs(value) >= 1000 else f"{value:.6g}"


def draw_across(drawing: Drawing, scale: Scale, frame: Box, title: str | None, most: int = 7) -> None:
    """Draw the axis below the frame, with lines up to its top; `title` None: the lines only."""
    for tick in scale.ticks(most):
        x = scale.at(tick)
        drawing.line((x, frame.top), (x, frame.bottom), "grid")
        if title is not None:
            drawing.text((x, frame.bottom + 15), tick_text(tick), "tick", "middle")
    if title is not None:
        drawing.text(((frame.left + frame.right) / 2, frame.bottom + 32), title, "tick", "middle")


def draw_upward(
    drawing: Drawing, scale: Scale, frame: Box, title: str, most: int = 6, highest: float = math.inf
) -> None:
    """Draw the axis left of the frame, with lines to its right; the title stands above its left end.

    No figure stands above `highest`, where no value can be.
    """
    for tick in (tick for tick in scale.ticks(most) if tick <= highest):
        y = scale.at(tick)
        drawing.line((frame.left, y), (frame.right, y), "grid")
        drawing.text((frame.left - 6, y + 4), tick_text(tick), "tick", "end")
    drawing.text((2, frame.top - 8), title, "tick")
