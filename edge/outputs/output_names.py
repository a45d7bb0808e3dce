"""Names of output files that each start makes anew: `--output answers_{start}.jsonl`."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

START = "{start}"


def with_start(path: Path) -> Path:
    """Return the path with {start} before its suffix, unless its name holds it already."""
    return (
        path
        if START in path.name or str(path) == "-"
        else path.with_name(f"{path.stem}_{START}{path.suffix}")
    )


def at_start(path: Path, now: datetime | None = None) -> Path:
    """Return the path with the local time in place of {start}, such as 2026-05-01T08-30-00.

    A clock may have been set back, as on boards without a battery: a name that exists gets a number.
    """
    if START not in path.name:
        return path
    moment = (now or datetime.now()).strftime("%Y-%m-%dT%H-%M-%S")
    named = path.with_name(path.name.replace(START, moment))
    number = 2
    while os.path.lexists(named):
        named = path.with_name(path.name.replace(START, f"{moment}-{number}"))
        number += 1
    return named
