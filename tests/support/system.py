"""Programs of the system that some tests need. Debian has them all, and CI installs them."""

from __future__ import annotations

import os
import shutil

import pytest

# Debian keeps servers out of the users' PATH.
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


def require(program: str) -> str:
    """Return the program's path. Without the program the test is skipped; in CI it fails."""
    found = shutil.which(program, path=_PATH)
    if found is not None:
        return found
    if os.environ.get("EDGE_CLASSIFY_REQUIRE_SYSTEM"):
        pytest.fail(f"{program} is not installed, and EDGE_CLASSIFY_REQUIRE_SYSTEM is set")
    pytest.skip(f"{program} is not installed")
