"""A live table of a camera's answers on the terminal, redrawn in place."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from io import TextIOBase
from typing import TYPE_CHECKING, TextIO, cast

from ..answers.result import FrameResult
from ..console import stderr_is_terminal
from ..printable import one_line, printable
from .frame_rate import FrameRate
from .rows import Row, rows_of

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

_INTERVAL = 0.1  # Seconds between two drawings: nobody can read faster.
_WAITING = 2.0  # Seconds without a frame until the table says so.
_WIDEST = 100  # Columns; longer bars show no more.
_LABEL_SHARE = 0.4  # Of the width. Fixed, so that bars don't jump with every label.
_PERCENT_WIDTH = 6


def can_redraw() -> bool:
    """Return whether stdout is a terminal that can move its cursor."""
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


class LiveTable:
    """Shows the newest result: its source and age, each model's best classes, and the last error.

    Rich draws it and respects NO_COLOR. Nothing is drawn before the first frame.
    """

    failed = 0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare the terminal of stdout; `clock` returns seconds."""
        from rich.console import Console

        self._console: Console = Console()
        self._above = _Above(self._console)
        self._live: Live | None = None
        self._size = self._console.size
        self._clock = clock
        self._drawn = float("-inf")
        self._rate = FrameRate(clock)
        self._speed = 0.0
        self._result: FrameResult | None = None
        self._seen = clock()
        self._error = ""
        self._errors = 0

    def show(self, result: FrameResult) -> None:
        """Take a result, and draw it unless the last drawing is too recent."""
        self._seen = self._clock()
        if result.frame.error is not None:
            self._error = result.frame.error
            self._errors += 1
        else:
            self._result = result
            self._speed = self._rate.tick()
        self._draw_if_due()

    def refresh(self) -> None:
        """Redraw the table while no frame comes: it shows for how long."""
        if self._live is not None:
            self._draw_if_due()

    def close(self) -> None:
        """Draw the last state a last time, and release the terminal."""
        self._above.close()
        if self._live is not None:
            self._draw()
            self._live.stop()
            self._live = None

    def _draw_if_due(self) -> None:
        if self._clock() - self._drawn >= _INTERVAL:
            self._draw()

    def _draw(self) -> None:
        from rich.live import Live

        self._drawn = self._clock()
        if self._live is not None and self._size != self._console.size:
            # The terminal has wrapped the old lines again: their number is unknown.
            self._live.stop()
            self._console.clear()
            self._live = None
        if self._live is None:
            self._size = self._console.size
            self._live = Live(
                console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
            )
            self._live.start()
            self._above.open()
        self._live.update(self._render(), refresh=True)

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        width = min(_WIDEST, self._console.width)
        parts: list[RenderableType] = []
        if self._result is not None:
            answers = self._result.answers
            parts.append(Text(self._status(self._result), overflow="fold"))
            for answer in answers:
                if len(answers) > 1:
                    parts.append(Text(one_line(answer.model), "bold", no_wrap=True, overflow="ellipsis"))
                parts.append(_bars(rows_of(answer), width))
        waited = self._clock() - self._seen
        if waited >= _WAITING:
            parts.append(Text(f"No frame for {waited:.0f} s", "yellow"))
        if self._errors:
            count = "1 error" if self._errors == 1 else f"{self._errors} errors, the last"
            parts.append(Text(f"{count}: {one_line(self._error)}", "red", overflow="fold"))
        return Group(*parts)

    def _status(self, result: FrameResult) -> str:
        frame = result.frame
        pieces = [one_line(frame.source)]
        if frame.index is not None:
            pieces.append(f"frame {frame.index}")
        if result.age_ms is not None:
            pieces.append(f"{result.age_ms:.0f} ms old")
        pieces.append(f"{self._speed:.1f} frames/s")
        if result.answers:
            # Models share decoding, and every answer holds its time.
            pieces.append(f"decode {max(answer.decode_ms for answer in result.answers):.1f} ms")
            pieces.append(f"inference {sum(answer.prediction.infer_ms for answer in result.answers):.1f} ms")
        return ", ".join(pieces)


class _Above(TextIOBase):
    """Replaces stderr where it is the table's terminal, and prints whole lines above the table.

    Rich's own replacement has no encoding, so that click would bypass it.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = ""
        self._original: TextIO | None = None

    def open(self) -> None:
        if self._original is None and stderr_is_terminal():
            self._original, sys.stderr = sys.stderr, cast(TextIO, self)

    def close(self) -> None:
        if self._original is not None:
            sys.stderr, self._original = self._original, None

    def write(self, text: str) -> int:
        from rich.text import Text

        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._console.print(Text(printable(line)), soft_wrap=True)
        return len(text)

    def isatty(self) -> bool:
        return True


def _bars(rows: Sequence[Row], width: int) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1), expand=False)
    table.width = width
    table.add_column(width=round(width * _LABEL_SHARE), no_wrap=True, overflow="ellipsis")
    table.add_column(ratio=1)
    table.add_column(width=_PERCENT_WIDTH, justify="right", no_wrap=True)
    for row in rows:
        if row.score is None:
            table.add_row(Text(row.label, "bold yellow"), "", "")
            continue
        bar = ProgressBar(
            total=1.0,
            completed=row.score,
            complete_style="green" if row.chosen else "blue",
            finished_style="green",
        )
        style = "bold" if row.chosen else ""
        table.add_row(Text(row.label, style), bar, Text(f"{row.score:.1%}", style))
    return table
