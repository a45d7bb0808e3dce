"""The four commands, run as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent


def run_command(name: str, *args: object, env: dict[str, str] | None = None, cwd: Path | None = None
                ) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Run one of the four commands in a process, and return its exit status and output."""
    return subprocess.run(
        [str(BIN / name), *map(str, args)],
        capture_output=True, text=True, cwd=cwd, timeout=600, check=False,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
