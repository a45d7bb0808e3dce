"""The origin of a result: the version of this package, the commit of the working folder, and the time."""

from __future__ import annotations

import subprocess
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from .result import Origin

_TIMEOUT_S = 2.0


def describe_origin(folder: Path | None = None, *, ask_git: bool = True) -> Origin:
    """Return the version, the time now (UTC, whole seconds), and the commit of `folder`; None: this folder.

    The commit ends in "-dirty" when tracked files were changed since. It is None without git, outside of a
    repository, before the first commit, where git takes longer than 2 s, and where git is not asked.
    """
    try:
        version = metadata.version("edge-classify")
    except metadata.PackageNotFoundError:  # Run from a checkout that is not installed.
        version = "unknown"
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Origin(version, _commit(folder or Path()) if ask_git else None, started)


def _commit(folder: Path) -> str | None:
    head = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if head is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if changed is None:
        return None
    return f"{head}-dirty" if changed else head


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints, or None when it fails; it writes nothing and asks nothing."""
    command = ["git", "--no-optional-locks", "-C", str(folder), "-c", "core.fsmonitor=false", *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None
