"""Writing files whole or not at all, and over a user's file only when asked."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .durable import sync_file, sync_folder
from .errors import OptionError, OutputExistsError, OutputKeptError, OutputLostError
from .inner_files import is_link
from .parts import keep_beside, open_part, place


def write_atomically(path: Path, data: bytes | str, replace: bool = True) -> None:
    """Write `data` under a temporary name in the same folder, sync it, rename it to `path`, sync the folder.

    A link is followed, not replaced. Raises OptionError when no file can be written as `path`, OSError where
    the disk is full or broken, and FileExistsError without `replace` where there is something as `path`.
    """
    path = path.resolve() if replace else path.absolute()

    def rename(part: Path) -> None:
        part.chmod(mode_for(path))
        place(part, path, replace)

    _write_part(path, data, rename)


def write_result(path: Path, data: bytes | str, replace: bool) -> None:
    """Write what took long to make; where it cannot be `path`, it is kept in another file, which is named.

    Raises OutputKeptError, which names that file, and OutputLostError where no other could be written either.
    """
    try:
        write_atomically(path, data, replace)
    except FileExistsError:
        reason = f"{path} has appeared meanwhile, and is not replaced"
    except OptionError as error:
        reason = str(error)
    except OSError as error:
        reason = f"{path} cannot be written: {error.strerror}"
    else:
        return
    for folder in dict.fromkeys((path.absolute().parent, Path.cwd(), Path(tempfile.gettempdir()))):
        with suppress(OSError, OptionError):
            kept = _write_beside(folder / path.name, data)
            raise OutputKeptError(f"{reason}. What was made is kept in {kept}")
    raise OutputLostError(f"{reason}. No other folder could be written either")


def _write_beside(path: Path, data: bytes | str) -> Path:
    """Write the first free file with a name like NAME.kept.jsonl; return its path."""
    kept = path

    def rename(part: Path) -> None:
        nonlocal kept
        part.chmod(default_mode())
        kept = keep_beside(part, path)

    _write_part(path, data, rename)
    return kept


def _write_part(path: Path, data: bytes | str, rename: Callable[[Path], None]) -> None:
    """Write a part of `path`, which `rename` gives its name once it is on the disk."""
    require_writable(path)
    handle, part = open_part(path)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            sync_file(file.fileno())
            rename(part)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, FileExistsError):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    sync_folder(path.parent)


def require_writable(path: Path) -> None:
    """Raise OptionError unless a file can be written as `path`; call it before long work."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise OptionError(f"{path} is not a regular file, and is not replaced. Name another --output")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OptionError(f"{path} cannot be written: {path.parent}: {error.strerror}") from None


def refuse_to_overwrite(path: Path, force: bool) -> None:
    """Raise OutputExistsError when `path` is a file or a folder that is not empty, unless `force`."""
    present = path.exists() or path.is_symlink()
    if force or not present or (path.is_dir() and not any(path.iterdir())):
        return
    kind = "is a folder that is not empty" if path.is_dir() else "exists"
    raise OutputExistsError(f"{path} {kind}. Name another --output, or replace what is there with --force")


def refuse_to_replace(target: Path, force: bool) -> None:
    """Raise OutputExistsError for a file with a name that this program chose, unless `force`.

    A link is always refused: the folder may come from an archive, and a link may lead anywhere.
    """
    if is_link(target):
        raise OutputExistsError(f"{target} is a link, and is not followed. Remove it")
    refuse_to_overwrite(target, force)


def mode_for(path: Path) -> int:
    """Return the permissions of a file written as `path`: those of the file that it replaces, if any."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return default_mode()


def default_mode() -> int:
    """Return the permissions that a new file gets from the umask."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
