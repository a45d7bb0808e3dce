"""SVG pictures: elements are made by ElementTree, so that no text can become markup."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
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
