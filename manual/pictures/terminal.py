"""Runs a command in a terminal of its own, and draws what that terminal showed, and when."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import pyte
from PIL import Image, ImageDraw, ImageFont

_TICK = 0.1  # Seconds between two looks at the screen.
_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
PAPER, _INK = (24, 26, 31), (222, 224, 228)
_COLOURS = {
    "black": (90, 94, 102), "red": (240, 113, 120), "green": (152, 195, 121), "brown": (229, 192, 123),
    "blue": (97, 175, 239), "magenta": (198, 120, 221), "cyan": (86, 182, 194), "white": _INK,
    "brightblack": (120, 126, 138), "brightred": (255, 135, 140), "brightgreen": (170, 220, 140),
    "brightbrown": (240, 210, 140), "brightblue": (130, 195, 250), "brightmagenta": (215, 150, 235),
    "brightcyan": (120, 210, 220), "brightwhite": (255, 255, 255),
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A character of a screen, and how it is shown; colours by their names, or as six hexadecimal digits."""

    text: str
    colour: str = "default"
    bold: bool = False
    reverse: bool = False


Screen = tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Moment:
    """What a terminal showed from a time on, in seconds since the command was started."""

    time: float
    screen: Screen


@dataclass(frozen=True)
class Recording:
    """What a command showed, first to last, and how it ended."""

    moments: tuple[Moment, ...]
    seconds: float
    status: int

    def lines(self) -> list[str]:
        """Return the text that the terminal showed at the end."""
        return ["".join(cell.text for cell in row).rstrip() for row in self.moments[-1].screen]


def record(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, size: tuple[int, int], prompt: str
) -> Recording:
    """Run a command until it ends, in a terminal of `size` columns and rows that shows `prompt` before.

    Raises OSError where it cannot be started.
    """
    columns, rows = size
    screen = pyte.Screen(columns, rows)
    stream = pyte.ByteStream(screen)
    stream.feed(f"{prompt}\r\n".encode())
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    started = time.monotonic()
    child = subprocess.Popen(
        command, cwd=folder, stdin=far, stdout=far, stderr=far, start_new_session=True,
        env={**environment, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(far)
    moments = [Moment(0.0, _copy(screen))]
    open_ = True
    while open_:
        until = time.monotonic() + _TICK
        while open_ and (left := until - time.monotonic()) > 0:
            if select.select([near], [], [], left)[0]:
                open_ = _feed(stream, near)
        if (now := _copy(screen)) != moments[-1].screen:
            moments.append(Moment(time.monotonic() - started, now))
    os.close(near)
    return Recording(tuple(moments), time.monotonic() - started, child.wait())


def _feed(stream: pyte.ByteStream, near: int) -> bool:
    """Show what has come; return whether more can come. Linux ends a terminal that nobody has open by EIO."""
    try:
        data = os.read(near, 65536)
    except OSError:
        return False
    stream.feed(data)
    return bool(data)


def _copy(screen: pyte.Screen) -> Screen:
    return tuple(
        tuple(
            Cell(cell.data, cell.fg, cell.bold, cell.reverse)
            for cell in (screen.buffer[row][column] for column in range(screen.columns))
        )
        for row in range(screen.lines)
    )


def load_font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans Mono, which matplotlib brings, at a size in pixels."""
    return ImageFont.truetype(str(_FONTS / f"DejaVuSansMono{'-Bold' if bold else ''}.ttf"), size)


class Painter:
    """Draws screens in a size of letters, in pixels."""

    def __init__(self, size: int) -> None:
        """Load the fonts."""
        self._plain, self._bold = load_font(size), load_font(size, bold=True)
        self._width = self._plain.getlength("m")
        self.row = round(size * 1.3)

    def columns_in(self, pixels: int) -> int:
        """Return how many columns fit."""
        return int(pixels / self._width)

    def paint(self, picture: Image.Image, screen: Screen, corner: tuple[int, int]) -> None:
        """Draw a screen into a picture, its upper left corner there."""
        draw = ImageDraw.Draw(picture)
        for number, row in enumerate(screen):
            for column, cell in enumerate(row):
                if cell.text.strip() or cell.reverse:
                    x, y = corner[0] + column * self._width, corner[1] + number * self.row
                    self._cell(draw, cell, x, y)

    def _cell(self, draw: ImageDraw.ImageDraw, cell: Cell, x: float, y: float) -> None:
        ink, paper = _colour(cell.colour), PAPER
        if cell.reverse:
            ink, paper = paper, ink
            draw.rectangle((x, y, x + self._width, y + self.row), fill=paper)
        draw.text((x, y), cell.text, fill=ink, font=self._bold if cell.bold else self._plain)


def _colour(name: str) -> tuple[int, int, int]:
    if name == "default":
        return _INK
    if name in _COLOURS:
        return _COLOURS[name]
    return int(name[:2], 16), int(name[2:4], 16), int(name[4:], 16)
