"""Programs of the system that some tests need. Debian has them all, and CI installs them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Debian keeps servers out of the users' PATH.
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


def require(program: str, *others: str) -> str:
    """Return the program's path. Without it, or one of the others, the test is skipped; in CI it fails.

    A test asks for all that it needs before it starts anything, so that it is skipped as a whole.
    """
    found = [_find(name) for name in (program, *others)]
    return found[0]


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a disk of a size such as "1m" on a folder; where that is not permitted, the test is skipped."""
    mount, umount = require("mount"), require("umount")
    command = [mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    try:
        yield folder
    finally:
        # -l: a program that is still in the folder is no reason to fail.
        subprocess.run([umount, "-l", str(folder)], check=True)


def _find(program: str) -> str:
    found = shutil.which(program, path=_PATH)
    if found is not None:
        return found
    if os.environ.get("EDGE_CLASSIFY_REQUIRE_SYSTEM"):
        pytest.fail(f"{program} is not installed, and EDGE_CLASSIFY_REQUIRE_SYSTEM is set")
    pytest.skip(f"{program} is not installed")
