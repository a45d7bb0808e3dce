"""Small files of /proc and /sys, which may be missing, unreadable or removed while they are read."""

from __future__ import annotations

from pathlib import Path


def read_text(path: Path) -> str | None:
    """Return a file's text without NULs and white space at its ends; None where it cannot be read."""
    try:
        return path.read_bytes().decode(errors="replace").strip("\0\n\t ")
    except OSError:
        return None


def read_number(path: Path) -> int | None:
    """Return the whole number in a file; None where it cannot be read or holds something else."""
    try:
        return int(read_text(path) or "")
    except ValueError:
        return None
