"""A command as a user at a terminal sees it: stdin, stdout and stderr are one pseudo-terminal."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run_in_terminal(words: list[str], cwd: Path, **environment: str) -> tuple[int, list[str]]:
    """Run a command in a terminal of 96 columns; return its exit status and the lines that it left there."""
    import pty  # Not on Windows, where the modules that import this one are only collected.

    ours, theirs = pty.openpty()
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        words, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "PATH": path, "COLUMNS": "96", "TERM": "xterm", **environment},
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
