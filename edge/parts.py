"""Files that are being written: `.NAME.*.part` beside their place, and how they get their names.

A part is locked as long as its program writes it. One that nobody locks was left by a program that was
killed, or by a power cut, and may hold the only copy of what that program had done.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import tempfile
from itertools import count
from pathlib import Path

from .locks import try_lock

_PART = re.compile(r"\.(.+)\.[A-Za-z0-9_]{8}\.part")  # The letters of tempfile's names.
# What disks answer that have no second names for a file: FAT and exFAT, some FUSE, SMB, containers' rules.
_NO_LINKS = (errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
_NAMED = 5


def open_part(path: Path) -> tuple[int, Path]:
    """Return the handle and the path of a new, locked part of `path`; only the user may read it yet."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try_lock(handle)
    return handle, Path(name)


def place(part: Path, path: Path, replace: bool) -> None:
    """Rename a part to `path`; raises FileExistsError where there is something already, unless `replace`.

    Nobody sees a moment without a file, or a half one. Only on disks without hard links there is a moment in
    which the new file is empty.
    """
    if replace:
        part.replace(path)
    elif sys.platform == "win32":
        part.rename(path)  # Never replaces there.
    else:
        _place_new(part, path)


def keep_beside(part: Path, path: Path) -> Path:
    """Give a part that cannot be `path` the first free name like NAME.kept.jsonl; return its path."""
    for number in count(1):
        kept = path.with_name(f"{path.stem}.kept{'' if number == 1 else f'-{number}'}{path.suffix}")
        try:
            place(part, kept, replace=False)
        except FileExistsError:
            continue
        return kept
    raise AssertionError("unreachable: numbers do not end")


def left_over(folder: Path) -> list[Path]:
    """Return the parts in a folder that nobody writes any more and that hold anything, by their names."""
    try:
        with os.scandir(folder) as entries:
            found = [Path(entry.path) for entry in entries if _PART.fullmatch(entry.name)]
    except OSError:  # It is not there yet, or only others may list it.
        return []
    return sorted(path for path in found if _is_abandoned(path))


def describe_left_over(folder: Path) -> str | None:
    """Return a sentence that names what killed programs left in a folder; None where there is nothing."""
    found = left_over(folder)
    if not found:
        return None
    names = ", ".join(path.name for path in found[:_NAMED])
    more = f", and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return (
        f"{folder} holds what a program that was killed had written until then: {names}{more}. It may be the "
        "only copy: look into it, then rename or delete it"
    )


def _place_new(part: Path, path: Path) -> None:
    """Rename without replacing: by a second name, or where the disk has none by claiming the name first."""
    try:
        os.link(part, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        part.unlink()
        return
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        part.replace(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _is_abandoned(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:  # It has its name by now, or belongs to somebody else.
        return False
    try:
        return os.fstat(handle).st_size > 0 and try_lock(handle) is not False
    finally:
        os.close(handle)
