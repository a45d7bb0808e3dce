"""Where modules and programs are looked for: in no folder that somebody merely stands in.

People start the commands inside folders of photos and models that they got from others, where a file may be
called numpy.py, or uname. Imports only os and sys, since every command calls it before anything else.
"""

# ruff: noqa: PTH109, PTH110, PTH117, PTH120 - pathlib would be imported too early.

from __future__ import annotations

import os
import sys


def forget_working_folder() -> None:
    """Take the working folder off this process's import path and PATH.

    `python -m`, PYTHONPATH=:/lib and PATH=:/usr/bin put it there: an empty entry means it. Libraries start
    programs too, such as uname. What Python has imported before this call is Python's to decide.
    """
    sys.path[:] = import_path()
    if "PATH" in os.environ:
        os.environ["PATH"] = program_path()


def import_path() -> list[str]:
    """Return the entries of sys.path without the working folder, unless this package was imported from it."""
    try:
        here = os.path.realpath(os.getcwd())
    except OSError:  # It was removed.
        here = ""
    package = sys.modules[__name__.partition(".")[0]]
    own = {os.path.realpath(os.path.dirname(folder)) for folder in package.__path__ if os.path.isabs(folder)}
    return [entry for entry in sys.path if is_safe_entry(entry) and (_real(entry) != here or here in own)]


def is_safe_entry(entry: object) -> bool:
    """Return whether an entry of sys.path does not depend on the working folder.

    Entries that are no folders at all belong to import hooks, such as those of editable installs.
    """
    return isinstance(entry, str) and (os.path.isabs(entry) or bool(entry and not os.path.exists(entry)))


def program_path() -> str:
    """Return the absolute entries of PATH."""
    return os.pathsep.join(filter(os.path.isabs, os.environ.get("PATH", os.defpath).split(os.pathsep)))


def _real(entry: str) -> str:
    return os.path.realpath(entry) if os.path.isabs(entry) else entry
