"""Axes of charts: lines at round values, with their figures."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .drawing import Drawing, shortened, text_width
from .labels import Box
from .scales import Scale, tick_text

WIDTH = 720.0  # px of every chart; the page scales it down to the screen's.
ROW = 24.0
_NAMES = 250.0  # The most px that names at the left of bars get.
_AXIS = 40.0


def draw_across(drawing: Drawing, scale: Scale, frame: Box, title: str | None) -> None:
    """Draw the axis below the frame, with lines up to its top; `title` None: the lines only."""
    for tick in scale.ticks():
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

    Above `highest` there is nothing that could be, so no figure stands there.
    """
    for tick in (tick for tick in scale.ticks(most) if tick <= highest):
        y = scale.at(tick)
        drawing.line((frame.left, y), (frame.right, y), "grid")
        drawing.text((frame.left - 6, y + 4), tick_text(tick), "tick", "end")
    drawing.text((2, frame.top - 8), title, "tick")


@dataclass(frozen=True)
class Rows:
    """A chart of one row a name: names at the left, figures at the right, a common axis below."""

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
