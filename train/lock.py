"""A lock between processes that the system lifts when the process ends, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ..edge.errors import OptionError


@contextmanager
def locked(path: Path, message: str) -> Iterator[None]:
    """Hold the lock file `path`.

    Raises OptionError, with `message` when another process holds it.
    """
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise OptionError(message) from None
    except NotImplementedError:
        raise OptionError(f"{path} cannot be locked on this kind of disk. Name a folder on another") from None
    try:
        yield
    finally:
        lock.release()
