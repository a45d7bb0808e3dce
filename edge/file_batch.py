"""New files that share their syncs: two for all that are written within a short time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from .durable import sync_folder, sync_together
from .files import default_mode
from .parts import open_part

SYNC_SHARE = 50  # Syncing takes at most a 50th of the time,
LONGEST_WAIT = 5.0  # but no file waits longer for it, in seconds,
_MOST_PENDING = 64  # and no more sets of files, each of which is kept open.

GiveNames = Callable[[Sequence[Path]], None]


class _Pending(NamedTuple):
    """Files under temporary names, their handles, and what gives them their names."""

    parts: list[Path]
    handles: list[int]
    give_names: GiveNames


class FileBatch:
    """Writes sets of files into one folder; the files of a set get their names together.

    They lie in the folder under temporary names until the next commit, which syncs them before they get
    their names, and the folder afterwards.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the folder, in which all files are written; `clock` gives seconds."""
        self._folder = folder
        self._clock = clock
        self._pending: list[_Pending] = []
        self._due_at = -1.0

    def add(self, contents: Sequence[tuple[str, bytes]], give_names: GiveNames) -> None:
        """Write a set of files, given as names and contents; after OSError none of it is left.

        `give_names` is called at the commit with the temporary paths, in the same order. It raises OSError
        where it cannot give the names, and then leaves none of these files under its name.
        """
        pending = _Pending([], [], give_names)
        try:
            for name, data in contents:
                handle, part = open_part(self._folder / name)
                pending.handles.append(handle)
                pending.parts.append(part)
                _write(handle, data)
                part.chmod(default_mode())
        except BaseException:
            _discard(pending)
            raise
        self._pending.append(pending)

    @property
    def is_due(self) -> bool:
        """Whether files wait, and have waited long enough for a commit that they share."""
        return bool(self._pending) and (len(self._pending) >= _MOST_PENDING or self._clock() >= self._due_at)

    def commit(self) -> list[OSError]:
        """Give all files their names; return the error of each set that could not be kept and is gone."""
        pending, self._pending = self._pending, []
        if not pending:
            return []
        began = self._clock()
        try:
            sync_together([handle for each in pending for handle in each.handles])
        except OSError as error:
            for each in pending:
                _discard(each)
            return [error] * len(pending)
        errors = [problem for each in pending if (problem := _finish(each)) is not None]
        sync_folder(self._folder)
        self._due_at = self._clock() + min(LONGEST_WAIT, SYNC_SHARE * (self._clock() - began))
        return errors


def _finish(pending: _Pending) -> OSError | None:
    try:
        pending.give_names(pending.parts)
    except OSError as error:
        return error
    finally:
        _discard(pending)
    return None


def _discard(pending: _Pending) -> None:
    """Close the files, and delete those that have no name of their own."""
    for part in pending.parts:
        part.unlink(missing_ok=True)
    for handle in pending.handles:
        os.close(handle)


def _write(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
