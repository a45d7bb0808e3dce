"""Reading files that must be small; writing whole or not at all, and over a user's file only when asked."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from .errors import EdgeClassifyError, OptionError, OutputExistsError


def read_small(path: Path, most: int, what: str, error: type[EdgeClassifyError]) -> bytes:
    """Return the bytes of a file or pipe that should be `what`, such as "a label file".

    Raises `error` where it cannot be read, or holds more than `most` bytes; no more is read.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except OSError as failure:
        raise error(f"{path} cannot be read as {what}: {failure.strerror}") from None
    if len(raw) > most:
        raise error(f"{path} is larger than {most // 2**20} MiB: too large for {what}")
    return raw


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write `data` under a temporary name in the same folder, then rename it to `path`.

    A link is followed, not replaced. Raises OptionError when no file can be written as `path`.
    """
    path = path.resolve()
    require_writable(path)
    raw = data.encode() if isinstance(data, str) else data
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
        Path(temporary).chmod(mode_for(path))
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


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
