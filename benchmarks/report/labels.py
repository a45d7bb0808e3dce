"""Names beside the points of a chart, none on top of another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .drawing import FONT, Point, text_width

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
