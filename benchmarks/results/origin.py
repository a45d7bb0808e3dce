"""The origin of a result: the version of this package, the commit of the working folder, and the time."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from ...edge.processes import plain_environment, run
from .result import Origin

_TIMEOUT_S = 2.0
# The working folder may be somebody else's: its .git/config can name programs as filters, hooks, monitors and
# pagers, and whether files were changed cannot be asked without running a filter. So only the name of the
# commit is read, which needs no file but those in .git, and nobody's configuration beside the repository's.
_GIT = ("git", "--no-pager", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c")
_NO_HOOKS = f"core.hooksPath={os.devnull}"
_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
}


def describe_origin(folder: Path | None = None, *, ask_git: bool = True) -> Origin:
    """Return the version, the time now (UTC, whole seconds), and the commit of `folder`; None: this folder.

    The commit is the one that is checked out; whether files were changed since is not known. It is None
    without git, outside of a repository, in one that belongs to another user, before the first commit, where
    git takes longer than 2 s, and where git is not asked.
    """
    try:
        version = metadata.version("edge-classify")
    except metadata.PackageNotFoundError:  # Run from a checkout that is not installed.
        version = "unknown"
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Origin(version, _commit(folder or Path()) if ask_git else None, started)


def _commit(folder: Path) -> str | None:
    """Return the name of the commit that HEAD points to; git looks at no other file, and runs nothing."""
    command = [*_GIT, _NO_HOOKS, "-C", str(folder), "rev-parse", "--verify", "--quiet", "HEAD"]
    try:
        done = run(command, _TIMEOUT_S, plain_environment(**_ENVIRONMENT))
    except OSError:
        return None
    name = done.output.decode(errors="replace").strip()
    return name if done.status == 0 and len(name) in (40, 64) and name.isalnum() else None
