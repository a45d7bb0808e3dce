"""A command as a user at a terminal sees it: stdin, stdout and stderr are one pseudo-terminal."""

from __future__ import annotations

import os
import re
import shlex
import struct
import subprocess
import sys
from pathlib import Path

from rich.cells import cell_len

BIN = Path(sys.executable).parent
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run_in_terminal(
    words: list[str], cwd: Path, columns: int = 96, remarks: bool = True, **environment: str
) -> tuple[int, list[str]]:
    """Run a command in a terminal; return its exit status and the lines that it left there.

    Without `remarks` what it writes to stderr is lost.
    """
    import fcntl  # Not on Windows, where the modules that import this one are only collected.
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        words, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs if remarks else subprocess.DEVNULL,
        env={**inherited, "PATH": path, "TERM": "xterm", **environment},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # EIO: the last process that had the terminal open has ended.
            break
        if not part:
            break
        shown += part
    os.close(ours)
    text = _CONTROL.sub("", shown.decode(errors="replace")).replace("\r\n", "\n")
    lines = [line.rpartition("\r")[2].rstrip() for line in text.splitlines()]
    return process.wait(), [line for line in lines if line]


def next_command(lines: list[str]) -> list[str]:
    """Return the words of the command that the last line tells to type."""
    start, _, command = lines[-1].partition(": ")
    assert start.startswith("Next"), lines
    return shlex.split(command)


def widest(lines: list[str]) -> int:
    """Return how many columns the longest line takes."""
    return max(map(cell_len, lines), default=0)


def squashed(text: str) -> str:
    """Return a text without blanks and line ends: what was folded is whole in it."""
    return "".join(text.split())
