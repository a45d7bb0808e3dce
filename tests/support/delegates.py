"""External delegates: shared libraries that are compiled here, since a machine may have no accelerator."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .system import require

TINY_DELEGATE = Path(__file__).parent / "tiny_delegate.c"


def compile_library(source: Path, target: Path) -> Path:
    """Compile a C file to a shared library."""
    subprocess.run([require("cc"), "-shared", "-fPIC", "-o", target, source], check=True)
    return target
