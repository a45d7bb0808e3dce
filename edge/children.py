"""Questions that may crash or hang the process that asks them, asked in a process of its own.

A wheel for another processor ends in SIGILL, a window library without a display in abort(), a camera's
driver never.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

# Without the working folder on the path: a user's numpy.py there is not ours to import.
_START = "import sys; sys.path[:] = filter(None, sys.path); "


@dataclass(frozen=True)
class Told:
    """What a child process said: the object that it printed as JSON, or None and `reason`."""

    answer: dict[str, Any] | None
    reason: str = ""


def ask(code: str, *arguments: str, timeout: float, given: bytes | None = None) -> Told:
    """Run Python code that prints one JSON object to stdout, for at most `timeout` seconds.

    `given` is what it reads from stdin: what is too long for arguments, or secret, since anybody sees those.
    `reason` is a phrase that goes on from "it": "did not end within 5 seconds", "was killed by SIGILL", or
    the last line that it wrote to stderr.
    """
    command = [sys.executable, "-c", _START + code, *arguments]
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return Told(None, f"did not end within {timeout:g} seconds")
    if done.returncode < 0:
        return Told(None, f"was killed by {_signal_name(-done.returncode)}")
    lines = done.stdout.decode(errors="replace").splitlines()
    try:
        answer = json.loads(lines[-1])  # Libraries may have said something before.
    except (IndexError, ValueError):
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return Told(None, f"failed ({said[-1] if said else f'exit status {done.returncode}'})")
    return Told(answer) if isinstance(answer, dict) else Told(None, "gave no answer")


def _signal_name(number: int) -> str:
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
