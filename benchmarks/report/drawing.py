"""SVG drawings: elements, scales, axes and labels.

ElementTree makes the elements, so that no text can become markup.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from ...edge.console import one_line

FONT = 12  # px, as report.css has it.
Point = tuple[float, float]


class Drawing:
    """A picture of `width` x `height` px, which the page scales; colours come from the page's style sheet.

    `key` is unique in the page. `title` and `description` are what people hear who don't see it.
    """

    def __init__(self, key: str, title: str, description: str, width: float, height: float) -> None:
        self.root = ElementTree.Element(
            "svg",
            {
                "viewBox": f"0 0 {_px(width)} {_px(height)}",
                "width": _px(width),
                "height": _px(height),
                "role": "img",
                "aria-labelledby": f"{key}-title {key}-about",
            },
        )
        for name, text in (("title", title), ("about", description)):
            tag = "title" if name == "title" else "desc"
            ElementTree.SubElement(self.root, tag, {"id": f"{key}-{name}"}).text = one_line(text)

    def line(self, start: Point, end: Point, style: str) -> None:
        """Draw a line; `style` names classes of the style sheet, here and below."""
        (x1, y1), (x2, y2) = start, end
        self._add("line", style, x1=x1, y1=y1, x2=x2, y2=y2)

    def lines(self, points: Sequence[Point], style: str) -> None:
        """Draw a line through the points."""
        place = " ".join(f"{_px(x)},{_px(y)}" for x, y in points)
        self._add("polyline", style).set("points", place)

    def bar(self, x1: float, x2: float, y: float, height: float, style: str, hint: str | None = None) -> None:
        """Draw a bar from x1 to x2 with its top at y; `hint` is shown when pointed at, here and below."""
        bar = self._add("rect", style, x=x1, y=y, width=max(x2 - x1, 0.5), height=height)
        _hint(bar, hint)

    def mark(self, at: Point, shape: int, style: str, hint: str | None = None, size: float = 5) -> None:
        """Draw a circle, square, diamond or triangle, by the number of its shape."""
        x, y = at
        corners = {
            1: ((-1, -1), (1, -1), (1, 1), (-1, 1)),
            2: ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
            3: ((0, -1.2), (1.2, 1), (-1.2, 1)),
        }.get(shape % 4)
        if corners is None:
            mark = self._add("circle", style, cx=x, cy=y, r=size)
        else:
            mark = self._add("polygon", style)
            mark.set("points", " ".join(f"{_px(x + a * size)},{_px(y + b * size)}" for a, b in corners))
        _hint(mark, hint)

    def text(
        self, at: Point, text: str, style: str = "", anchor: str = "start", hint: str | None = None
    ) -> None:
        """Write a line of text; `anchor` says which of its ends is at x ("start", "middle", "end")."""
        x, y = at
        element = self._add("text", style, x=x, y=y)
        element.set("text-anchor", anchor)
        element.text = one_line(text)
        _hint(element, hint)

    def markup(self) -> str:
        """Return the <svg> element, well-formed XML."""
        return ElementTree.tostring(self.root, encoding="unicode")

    def _add(self, tag: str, style: str, **numbers: float) -> ElementTree.Element:
        attributes = {name: _px(value) for name, value in numbers.items()}
        if style:
            attributes["class"] = style
        return ElementTree.SubElement(self.root, tag, attributes)


def text_width(text: str) -> float:
    """Return about how many px a line takes in a sans-serif font, rather too many than too few."""
    return sum(_letter_width(letter) for letter in one_line(text)) * FONT


def shortened(text: str, width: float) -> str:
    """Return the text, its middle left out where it takes more px: names of variants differ at their end."""
    text = one_line(text)
    if text_width(text) <= width:
        return text
    kept = len(text)
    while kept > 2 and text_width(_cut(text, kept)) > width:
        kept -= 1
    return _cut(text, kept)


def _cut(text: str, kept: int) -> str:
    return f"{text[: kept // 3]}…{text[-(kept - kept // 3) :]}"


def _letter_width(letter: str) -> float:
    if unicodedata.combining(letter):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.05
    return 0.78 if letter.isupper() or letter in "mwMW%@…—" else 0.6


def _hint(element: ElementTree.Element, hint: str | None) -> None:
    if hint is not None:
        ElementTree.SubElement(element, "title").text = one_line(hint)


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


# From this ratio of the largest to the smallest value on, small values are told apart only on a log axis.
_LOG_FROM, _LOG_TO = 5.0, 1e12
_MOST = 1e15  # Larger figures are no measurements, and would leave nothing to be told apart.
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
        """Return the place of a value; one outside of the range is put at its end."""
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


def scale(
    values: Iterable[float], start: float, end: float, log: bool | None = None, least: float = 0.0
) -> Scale:
    """Return a scale for these values with some room at both ends.

    `log` None: logarithmic where the largest is 5 times the smallest or more, and all are above 0. A linear
    one spans `least` or more, so that noise does not look like a change.
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


_REACHES = (9.0, 20.0, 34.0, 50.0, 70.0)  # px from the point to the name; the nearest that is free is taken.
_NEAR = _REACHES[0]
_DIRECTIONS = 12
_POINT = 6.0  # Half the side of the square around a point that no name may touch.
_CROSSING = 6.0  # A name on top of an error bar is worth so many px of distance.


@dataclass(frozen=True)
class Box:
    """A rectangle in px; y runs downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def touches(self, other: Box) -> bool:
        """Return whether the two share more than an edge."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def inside(self, other: Box) -> bool:
        """Return whether this one is within the other."""
        across = other.left <= self.left and self.right <= other.right
        return across and other.top <= self.top and self.bottom <= other.bottom


@dataclass(frozen=True)
class Label:
    """Where a name was put; `far`: so far from its point that a line must lead there."""

    box: Box
    far: bool


def place_labels(
    texts: Sequence[str], points: Sequence[Point], bars: Sequence[Box], frame: Box
) -> list[Label | None]:
    """Return a place within `frame` for the text of each point, the first ones first; None: no room.

    No name touches another or a point; `bars` (of error) are avoided where that is possible. The greedy
    search over candidate places is the usual one for maps (Christensen, Marks and Shieber, ACM TOG 1995).
    """
    taken = [Box(x - _POINT, y - _POINT, x + _POINT, y + _POINT) for x, y in points]
    placed: list[Label | None] = []
    for text, point in zip(texts, points, strict=True):
        free = [
            (reach + _CROSSING * sum(box.touches(bar) for bar in bars), order, box, reach)
            for order, (box, reach) in enumerate(_candidates(text, point))
            if box.inside(frame) and not any(box.touches(other) for other in taken)
        ]
        if not free:
            placed.append(None)
            continue
        _, _, box, reach = min(free, key=lambda found: found[:2])
        taken.append(box)
        placed.append(Label(box, reach > _NEAR))
    return placed


def _candidates(text: str, point: Point) -> list[tuple[Box, float]]:
    """Return rectangles of the text's size around the point, upper right first, nearest first."""
    (x, y), width, height = point, text_width(text), FONT * 1.25
    found = []
    for reach in _REACHES:
        for number in range(_DIRECTIONS):
            angle = math.pi / 6 + number * 2 * math.pi / _DIRECTIONS
            across, down = math.cos(angle), -math.sin(angle)
            middle_x = x + across * (reach + width / 2)
            middle_y = y + down * (reach + height / 2)
            box = Box(
                middle_x - width / 2, middle_y - height / 2, middle_x + width / 2, middle_y + height / 2
            )
            found.append((box, reach))
    return found


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
