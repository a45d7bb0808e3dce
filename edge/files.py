"""Writing results so that nothing half-written is ever seen and nothing of the user's is lost."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .errors import OutputExistsError


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write `data` under a temporary name in the same folder, then rename it to `path`."""
    raw = data.encode() if isinstance(data, str) else data
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def refuse_to_overwrite(path: Path, force: bool) -> None:
    """Raise OutputExistsError when `path` is a file or a folder with something in it, unless `force`."""
    if force or not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    kind = "is a folder that is not empty" if path.is_dir() else "exists"
    raise OutputExistsError(f"{path} {kind}. Name another --output, or replace what is there with --force")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
