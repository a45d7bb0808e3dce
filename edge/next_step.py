"""The last line of a command, for people at a terminal: what to type next, with their own paths."""

from __future__ import annotations

import shlex
import sys
from os import PathLike, fspath

from .console import say, stderr_is_terminal
from .log import is_text
from .printable import one_line


def suggest(command: str, when: str = "") -> None:
    """Print "Next: command" to stderr; `when` tells what the command is for.

    Nothing is printed where stdout or stderr is no terminal, nor for a path with control characters, which
    could not be pasted as it is shown.
    """
    if _is_read_by_people() and one_line(command) == command:
        say(f"Next, {when}: {command}" if when else f"Next: {command}")


def quoted(path: str | PathLike[str]) -> str:
    """Return a path as a word for the shell; one that begins with a dash is not taken for an option."""
    text = fspath(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def _is_read_by_people() -> bool:
    return stderr_is_terminal() and sys.stdout is not None and sys.stdout.isatty() and is_text()
