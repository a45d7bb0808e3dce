"""Files in a cache: how tests write them, and list them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def writer(data: bytes) -> Callable[[Path], None]:
    """Return a function that makes an entry of one file, data.bin, with these bytes."""

    def write(folder: Path) -> None:
        (folder / "data.bin").write_bytes(data)

    return write


def files(root: Path) -> list[str]:
    """Return the paths of all files below `root`, relative to it."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
