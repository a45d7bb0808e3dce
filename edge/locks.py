"""Locks that the system lifts when their program ends, however it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def try_lock(handle: int) -> bool | None:
    """Lock an open file until it is closed; False where another has locked it, None where nothing can be.

    Windows has other locks, and some network shares have none.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextmanager
def lock_file(path: Path) -> Iterator[bool | None]:
    """Hold the lock of a file that exists only meanwhile; yields what `try_lock` returns. Raises OSError."""
    handle, locked = _open_locked(path)
    try:
        yield locked
    finally:
        if locked is not False:
            path.unlink(missing_ok=True)  # While it is locked: nobody else can have made it anew.
        os.close(handle)


def _open_locked(path: Path) -> tuple[int, bool | None]:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        locked = try_lock(handle)
        if not locked or _is_still(path, handle):
            return handle, locked
        os.close(handle)  # Its program has ended between the two, and removed it.


def _is_still(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except FileNotFoundError:
        return False
