"""Files in a folder that came from somewhere else: never outside of it, never behind a link, never a pipe.

A run, a cache or a folder of results may have been unpacked from an archive. What its files say about other
files is a claim, and a link in it may point anywhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import BinaryIO

_LONGEST_NAME, _LONGEST_PART = 4096, 255  # Linux's limits, in bytes.
# O_NONBLOCK: opening a pipe would wait for a writer. Windows lacks these flags.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
}


class UnsafePathError(ValueError):
    """A file that is not taken; the text is a phrase that follows its name, such as "is a link"."""


def inner_path(root: Path, name: str) -> Path:
    """Return the path of the file `name` in the folder `root`, which need not exist.

    Raises UnsafePathError for a name that is no relative path of plain parts, and where one of its parts is
    a link: `root` itself may be one, since the user has named it.
    """
    path = root
    for part in _parts(name):
        path = path / part
        if is_link(path):
            raise UnsafePathError(f"{_leads(path, root, name)} a link, and no links are followed here")
    return path


def require_inner(name: str) -> None:
    """Raise UnsafePathError for a name that is no relative path of plain parts; looks at no file."""
    _parts(name)


def require_plain(name: str) -> None:
    """Raise UnsafePathError for a text that can be no path: too long, or with a zero byte."""
    if "\0" in name:
        raise UnsafePathError("holds a zero byte")
    try:
        parts = [os.fsencode(part) for part in PurePath(name).parts]
    except UnicodeEncodeError:
        raise UnsafePathError("holds half a letter") from None
    if len(name) > _LONGEST_NAME or any(len(part) > _LONGEST_PART for part in parts):
        raise UnsafePathError("is longer than a path may be")


def require_regular(path: Path) -> None:
    """Raise UnsafePathError for anything but a regular file or a link to one.

    Raises OSError where there is none.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise UnsafePathError(f"is {kind_of(mode)}, and not a regular file")


def read_inner(root: Path, name: str, most: int) -> bytes:
    """Return the bytes of the file `name` in the folder `root`.

    Raises UnsafePathError where `inner_path` does, for anything but a regular file, and for a file of more
    than `most` bytes; OSError where it cannot be read.
    """
    return read_unlinked(inner_path(root, name), most)


def read_unlinked(path: Path, most: int) -> bytes:
    """Return the bytes of a regular file of at most `most` bytes; `path` itself must not be a link.

    Raises UnsafePathError and OSError as `read_inner`.
    """
    with open_unlinked(path) as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise UnsafePathError(f"is larger than {most / 2**20:.0f} MiB")
    return raw


@contextmanager
def open_unlinked(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading; raises UnsafePathError for a link or another kind, and OSError."""
    if is_link(path):
        raise UnsafePathError("is a link, and no links are followed here")
    try:
        handle = os.open(path, _FLAGS)
    except ValueError as error:  # A NUL, or half a letter, in the name.
        raise UnsafePathError(f"cannot be opened ({error})") from None
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise UnsafePathError(f"is {kind_of(mode)}, and not a regular file")
        with open(handle, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(handle)


def find_links(folder: Path) -> Iterator[Path]:
    """Yield the links below a folder, or the folder itself where it is one; none of them is followed."""
    if is_link(folder):
        yield folder
        return
    for root, folders, names in os.walk(folder):
        for name in sorted((*folders, *names)):
            path = Path(root, name)
            if is_link(path):
                yield path
                if name in folders:  # A junction of Windows, which os.walk would enter.
                    folders.remove(name)


def is_link(path: Path) -> bool:
    """Return whether a path is a symbolic link, or a junction of Windows."""
    try:
        found = path.lstat()
    except (OSError, ValueError):
        return False
    reparse = getattr(stat, "FILE_ATTRIBUTE_REPARSE_POINT", 0) & getattr(found, "st_file_attributes", 0)
    return stat.S_ISLNK(found.st_mode) or bool(reparse)


def kind_of(mode: int) -> str:
    """Return what a file is by its mode, such as "a pipe (FIFO)"."""
    return _KINDS.get(stat.S_IFMT(mode), "a file")


def _parts(name: str) -> tuple[str, ...]:
    require_plain(name)
    path = PurePath(name)
    if not path.parts:
        raise UnsafePathError("is no name of a file")
    if path.is_absolute() or path.drive or path.root:
        raise UnsafePathError("is an absolute path, and must be relative to its folder")
    if ".." in path.parts:
        raise UnsafePathError('leads out of its folder by ".."')
    return path.parts


def _leads(link: Path, root: Path, name: str) -> str:
    return "is" if link == root / name else f"lies behind {link.relative_to(root)}, which is"
