"""Runs a command, and tells how long it took and how much memory it needed."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import click


class Cost(NamedTuple):
    """Seconds, and the highest resident memory in bytes."""

    seconds: float
    peak: int


def run_measured(command: Sequence[object], environment: Mapping[str, str] | None = None) -> Cost:
    """Run a command with `environment` added to its own; what it prints on stdout is dropped.

    Raises ClickException with its stderr where it fails.
    """
    parts = list(map(str, command))
    began = time.perf_counter()
    with subprocess.Popen(
        parts,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        text = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{' '.join(parts)}\nexit status {process.returncode}\n{text}")
    return Cost(seconds, usage.ru_maxrss * 1024)
