"""Answers drawn onto a picture: a panel at the lower left, with a bar behind each label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from ..answers.result import Answer
from ..printable import one_line
from .fonts import is_bitmap, letter
from .rows import Row, rows_of

_SHARE = 26  # The picture's shorter side divided by the height of the letters.
_SMALLEST = 10  # Pixels; smaller letters cannot be read.
_BITMAP_SIZE = 11  # Pixels of Pillow's own font.
_WIDTH = 18  # Width of the panel, in heights of the letters; a picture may be narrower.
_HEIGHT = 0.6  # The part of the picture that the panel may cover.

_Color = tuple[int, int, int, int]
_PANEL: _Color = (16, 18, 22, 170)
_CHOSEN: _Color = (38, 140, 76, 235)
_GUESS: _Color = (84, 98, 122, 220)
_WHITE: _Color = (255, 255, 255, 255)
_DIM: _Color = (205, 210, 218, 255)
_AMBER: _Color = (255, 196, 64, 255)


@dataclass(frozen=True)
class _Line:
    """A line of the panel: text at the left and at the right, and the length of its bar, 0..1."""

    left: str
    right: str = ""
    bar: float = 0.0
    fill: _Color = _GUESS
    ink: _Color = _DIM


def draw_answers(
    image: Image.Image, answers: Sequence[Answer], note: str = "", in_place: bool = False
) -> Image.Image:
    """Return a copy of an RGB picture with the answers on it, one model below the other.

    `in_place` draws on the picture itself, which saves the memory of a copy. `note` is the last line, for
    example the frame rate or an error. Letters grow with the picture. Lines without room are left out, the
    least probable classes first. Never raises, whatever the texts contain.
    """
    size = max(_SMALLEST, round(min(image.size) / _SHARE))
    factor = max(1, round(size / _BITMAP_SIZE)) if is_bitmap(size) else 1
    if factor > 1:
        size = _BITMAP_SIZE
    width = min(image.width // factor, _WIDTH * size) or 1
    row_height = letter("", size, width).height + size // 3
    room = int(image.height * _HEIGHT / factor / row_height)
    panel = _draw_panel(_lines(answers, note, room), size, width, row_height)
    if factor > 1:
        panel = panel.resize((panel.width * factor, panel.height * factor), Image.Resampling.NEAREST)
    drawn = image if in_place else image.copy()
    corner = (0, max(0, image.height - panel.height))
    drawn.paste(panel, corner, panel)
    return drawn


def _lines(answers: Sequence[Answer], note: str, room: int) -> list[_Line]:
    """Return about `room` lines of the panel; the answer of each model is always among them."""
    titled = len(answers) > 1
    extra = len(answers) * titled + bool(note)
    each = max(1, (room - extra) // max(1, len(answers)))
    lines = []
    for answer in answers:
        if titled:
            lines.append(_Line(one_line(answer.model), ink=_WHITE))
        lines += [_line(row) for row in rows_of(answer)[:each]]
    return [*lines, _Line(one_line(note))] if note else lines


def _line(row: Row) -> _Line:
    if row.score is None:
        return _Line(row.label, ink=_AMBER)
    share = min(1.0, max(0.0, row.score))
    return _Line(
        row.label,
        f"{row.score:.0%}",
        share,
        _CHOSEN if row.chosen else _GUESS,
        _WHITE if row.chosen else _DIM,
    )


def _draw_panel(lines: list[_Line], size: int, width: int, row_height: int) -> Image.Image:
    margin = max(1, size // 4)
    panel = Image.new(
        "RGBA", (width, row_height * max(1, len(lines)) + margin), _PANEL if lines else (0, 0, 0, 0)
    )
    draw = ImageDraw.Draw(panel)
    for number, line in enumerate(lines):
        top = margin + number * row_height
        bar = round(line.bar * (width - 2 * margin))
        if bar > 0:
            draw.rectangle((margin, top, margin + bar - 1, top + row_height - margin - 1), line.fill)
        right = letter(line.right, size, width)
        space = width - 4 * margin - (right.width + margin if line.right else 0)
        left = letter(line.left, size, space)
        baseline = top + (row_height - margin - left.height) // 2
        draw.text((2 * margin, baseline), left.text, line.ink, left.font)
        draw.text((width - 2 * margin - right.width, baseline), right.text, line.ink, right.font)
    return panel
