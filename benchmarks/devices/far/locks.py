"""Locks of files that a process and its children hold until they end, in whatever way."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO


def lock(path: Path, shared: bool = False) -> IO[str] | None:
    """Lock a file, made where it is missing, and return it; None where another process holds the lock.

    The lock lasts until the file is closed in this process and in all processes that inherited it.
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
