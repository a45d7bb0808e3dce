"""Locks that a process holds until it and its children end, however they end."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO


def lock(path: Path, shared: bool = False) -> IO[str] | None:
    """Lock a file, which is made where it is missing, and return it; None where another process has it.

    Lasts until the file is closed in this process, and in all those that inherited it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+")
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def is_locked(path: Path) -> bool:
    """Return whether some process holds the lock."""
    if not path.exists():
        return False
    held = lock(path)
    if held is None:
        return True
    held.close()
    return False
