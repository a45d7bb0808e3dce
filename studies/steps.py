"""Long commands one after the other: a line for each with its time, what they print in a log."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_BAR = "━"
_SHOWN_OF_A_FAILURE = 12
_WIDTH = 100


class StepError(Exception):
    """A command failed: `status` is its exit status, `lines` are the last that it printed."""

    def __init__(self, command: str, status: int, lines: Sequence[str]) -> None:
        """Take what happened."""
        super().__init__(f"{command} ended with exit status {status}")
        self.status = status
        self.lines = list(lines)[-_SHOWN_OF_A_FAILURE:]


class Steps:
    """Runs commands. On a terminal, each one's newest line or progress bar is shown below its title.

    A command then has a terminal of its own, so that it draws bars. Their last state is not logged.
    """

    def __init__(self, log: Path) -> None:
        """Begin a new log."""
        self.log = log
        self._watched = sys.stderr.isatty() and os.name == "posix"
        log.write_text("", encoding="utf-8")

    def run(self, title: str, words: Sequence[str]) -> list[str]:
        """Run a command to its end and return the lines that it printed; raises StepError."""
        lines: list[str] = []
        began = time.monotonic()
        with self.log.open("a", encoding="utf-8") as log, self._shown(title) as show:
            log.write(f"== {title}\n$ {shlex.join(words)}\n")
            log.flush()

            def take(text: str, whole: bool) -> None:
                if not text:
                    return
                show(text)
                if whole and _BAR not in text:
                    lines.append(text)
                    log.write(f"{text}\n")
                    log.flush()

            status = self._run(words, take)
            log.write(f"-- exit status {status}, {time.monotonic() - began:.0f} s\n\n")
        if status:
            raise StepError(Path(words[0]).name, status, lines)
        click.echo(f"   {title}: {duration(time.monotonic() - began)}", err=True)
        return lines

    def _run(self, words: Sequence[str], take: Callable[[str, bool], None]) -> int:
        ours, theirs = _terminal() if self._watched else os.pipe()
        environment = {**os.environ, "COLUMNS": str(_WIDTH), "LINES": "40"}
        stdin = theirs if self._watched else subprocess.DEVNULL
        with subprocess.Popen(
            list(words), stdin=stdin, stdout=theirs, stderr=theirs, env=environment
        ) as process:
            os.close(theirs)
            with open(ours, "rb", buffering=0) as stream:  # noqa: PTH123 - Of a number, not of a path.
                try:
                    _split(stream, take)
                except KeyboardInterrupt:  # The command got it too, and is tidying up.
                    _split(stream, take)
                    process.wait()
                    raise
            return process.wait()

    @contextmanager
    def _shown(self, title: str) -> Iterator[Callable[[str], None]]:
        if not self._watched:
            click.echo(f"== {title}", err=True)
            yield lambda _: None
            return
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (
            SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn(),
        )  # fmt: skip
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True) as shown:
            task = shown.add_task(title, total=None)
            room = max(20, console.width - 12)  # The spinner and the time stand beside it.
            yield lambda text: shown.update(task, description=f"{title}\n{text.strip()[:room]}")


def duration(seconds: float) -> str:
    """Return "45 s", or "3 min 20 s"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _terminal() -> tuple[int, int]:
    import pty  # Not on Windows.

    return pty.openpty()


def _split(stream: BinaryIO, take: Callable[[str, bool], None]) -> None:
    """Give each line without control characters, and what is redrawn in place as not whole."""
    rest = b""
    while True:
        try:
            part = stream.read(65536)
        except OSError:  # EIO: no process has the terminal open any more.
            part = b""
        if not part:
            break
        *whole, rest = (rest + part).replace(b"\r\n", b"\n").split(b"\n")
        for line in whole:
            take(_text(line), True)
        take(_text(rest), False)
    take(_text(rest), True)


def _text(line: bytes) -> str:
    text = _CONTROL.sub("", line.decode(errors="replace")).rstrip()
    return text.rpartition("\r")[2].rstrip()
