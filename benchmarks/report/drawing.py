"""SVG drawings: lines, marks, text, and names that do not overlap.

ElementTree makes the elements, so that no text can become markup.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from ...edge.printable import one_line

FONT = 12  # px, as style.css has it.
Point = tuple[float, float]
_REACHES = (9.0, 20.0, 34.0, 50.0, 70.0)  # px from the point to the name; the nearest that is free is taken.
_NEAR = _REACHES[0]
_DIRECTIONS = 12
_POINT = 6.0  # Half the side of the square around a point that no name may touch.
# So many px of distance are worth: a name on top of an error bar, and one that is as near to another point.
_CROSSING, _DOUBT = 6.0, 14.0


class Drawing:
    """A picture of `width` x `height` px, which the page scales; colours come from its style sheet.

    `key` is unique in the page. `title` and `description` are for people who hear the page.
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

    def label(self, box: Box, text: str, style: str, hint: str | None = None) -> None:
        """Write a line of text in the middle of a box that hides what lies below."""
        self._add(
            "rect", "ground", x=box.left, y=box.top, width=box.right - box.left, height=box.bottom - box.top
        )
        self.text(((box.left + box.right) / 2, box.bottom - 4), text, style, "middle", hint)

    def markup(self) -> str:
        """Return the <svg> element, well-formed XML."""
        return ElementTree.tostring(self.root, encoding="unicode")

    def _add(self, tag: str, style: str, **numbers: float) -> ElementTree.Element:
        attributes = {name: _px(value) for name, value in numbers.items()}
        if style:
            attributes["class"] = style
        return ElementTree.SubElement(self.root, tag, attributes)


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

    def nearest(self, point: Point) -> Point:
        """Return the place in this rectangle that is the nearest to a point."""
        x, y = point
        return min(max(x, self.left), self.right), min(max(y, self.top), self.bottom)

    def distance(self, point: Point) -> float:
        """Return the px from a point to this rectangle; 0 inside."""
        return math.dist(point, self.nearest(point))


@dataclass(frozen=True)
class Label:
    """The place of a name; `far`: a line must lead from it to its point, which is not the only one near."""

    box: Box
    far: bool


def text_width(text: str) -> float:
    """Estimate the px of a line in a sans-serif font, rather too many than too few."""
    return sum(_letter_width(letter) for letter in one_line(text)) * FONT


def shortened(text: str, width: float) -> str:
    """Return the text, without its middle where it takes more px: names of variants differ at their ends."""
    text = one_line(text)
    if text_width(text) <= width:
        return text
    kept = len(text)
    while kept > 2 and text_width(_cut(text, kept)) > width:
        kept -= 1
    return _cut(text, kept)


def place_labels(
    texts: Sequence[str],
    points: Sequence[Point],
    bars: Sequence[Box],
    frame: Box,
    reaches: Sequence[float] = _REACHES,
) -> list[Label | None]:
    """Return a place within `frame` for the text of each point, the first ones first; None: no room.

    No name touches another or a point; `bars` (of error) are avoided where that is possible, and so are
    places as near to another point. The greedy search over candidate places is the usual one for maps
    (Christensen, Marks and Shieber, ACM TOG 1995). `reaches` are the distances that are tried, in px.
    """
    taken = [Box(x - _POINT, y - _POINT, x + _POINT, y + _POINT) for x, y in points]
    placed: list[Label | None] = []
    for text, point in zip(texts, points, strict=True):
        free = []
        for order, (box, reach) in enumerate(_candidates(text, point, reaches)):
            if not box.inside(frame) or any(box.touches(other) for other in taken):
                continue
            doubt = any(box.distance(other) < box.distance(point) + 2 for other in points if other != point)
            crossed = sum(box.touches(bar) for bar in bars)
            free.append((reach + _CROSSING * crossed + _DOUBT * doubt, order, box, reach > _NEAR or doubt))
        if not free:
            placed.append(None)
            continue
        _, _, box, far = min(free, key=lambda found: found[:2])
        taken.append(box)
        placed.append(Label(box, far))
    return placed


def _candidates(text: str, point: Point, reaches: Sequence[float]) -> list[tuple[Box, float]]:
    """Return rectangles of the text's size around the point, upper right first, nearest first."""
    (x, y), width, height = point, text_width(text), FONT * 1.25
    found = []
    for reach in reaches:
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


def _cut(text: str, kept: int) -> str:
    return f"{text[: kept // 3]}…{text[-(kept - kept // 3) :]}"


def _letter_width(letter: str) -> float:
    if unicodedata.combining(letter):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.05
    # DejaVu Sans, which Linux shows, is the widest of the usual ones.
    if letter in "mwMW%@…—":
        return 1.0
    return 0.79 if letter.isupper() else 0.64


def _hint(element: ElementTree.Element, hint: str | None) -> None:
    if hint is not None:
        ElementTree.SubElement(element, "title").text = one_line(hint)


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
