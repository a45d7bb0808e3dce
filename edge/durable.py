"""Syncing: what was written outlives a power cut once the system was asked to put it on the disk.

A file is synced before it gets its name, so that no name leads to an empty file, and its folder is synced
afterwards, so that the name stays. Disks that cannot sync a folder, as some network shares, are left as they
are; every other error, such as a full or broken disk, is raised.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

# What file systems answer that have no such call: FUSE, SMB, and Linux before the call existed.
_UNSUPPORTED = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)
_MANY = 200  # Files.
_UNREADABLE = (errno.EACCES, errno.EPERM)


def sync_file(handle: int) -> None:
    """Wait until all that was written to an open file is on the disk; raises OSError, as for a full disk."""
    try:
        if sys.platform == "darwin":
            _sync_drive(handle)
        else:
            os.fsync(handle)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk: those added, those removed, and those replaced.

    A folder that may be written but not listed cannot be opened for that, and is left to the system.
    """
    if sys.platform == "win32":  # Folders cannot be opened there, and NTFS keeps a journal of names.
        return
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno in _UNREADABLE:
            return
        raise
    try:
        sync_file(handle)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None
    finally:
        os.close(handle)


def sync_together(handles: Sequence[int]) -> None:
    """Wait until several open files of one disk are on it: on Linux by a single call for the whole disk."""
    if len(handles) > 1 and sys.platform == "linux" and _sync_disk(handles[0]):
        return
    for handle in handles:
        sync_file(handle)


def sync_tree(folder: Path) -> None:
    """Wait until all files and folders in `folder` are on the disk; links are not followed.

    On Linux many files are synced by a single call for the whole disk.
    """
    if sys.platform == "linux" and _holds_many(folder):
        handle = os.open(folder, os.O_RDONLY)
        try:
            if _sync_disk(handle):
                return
        finally:
            os.close(handle)
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink() and path.is_file():
                _sync_path(path)
        sync_folder(Path(parent))


def publish_folder(made: Path, target: Path) -> None:
    """Give a finished folder its name, by which all that is in it is on the disk.

    `target` must not exist, or be an empty folder of the same disk; raises OSError as os.rename does.
    """
    sync_tree(made)
    made.rename(target)
    sync_folder(target.parent)


def make_folders(folder: Path) -> None:
    """Make a folder and those above it that are missing, whose names then are on the disk."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in reversed(new):
        sync_folder(path.parent)


def _holds_many(folder: Path) -> bool:
    """Return whether syncing each file by itself would take longer than all that waits for the disk."""
    files = (name for _, _, names in os.walk(folder) for name in names)
    return len(list(islice(files, _MANY))) == _MANY


def _sync_path(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        sync_file(handle)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        os.close(handle)


def _sync_disk(handle: int) -> bool:
    """Sync the whole disk of an open file by Linux's syncfs; False where this system does not have it."""
    import ctypes

    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:
        return False
    if call(handle) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number))


def _sync_drive(handle: int) -> None:
    """Sync on macOS, where fsync leaves data in the drive's own memory (its manual page fsync(2))."""
    import fcntl

    try:
        fcntl.fcntl(handle, getattr(fcntl, "F_FULLFSYNC"))  # noqa: B009 - Linux's type stubs lack it.
    except OSError:  # A network share has no drive to ask.
        os.fsync(handle)
