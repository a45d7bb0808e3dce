"""Usage: python studies/cases.py CASES SCRATCH [ID ...]

Claim: every case in the folder CASES gives what the table of its README.md says is right.

CASES holds README.md, with a row for each case whose first column is the case's ID, scripts that make the
inputs, and check.py, which tries one case with the commands of this Python's environment:

    python check.py SCRATCH ID      # prints "ok ID" or "FAIL ID: what happened", exit status 0 or 1

Each case runs by itself, so that one that hangs or ends its process does not end the others. The inputs are
made in SCRATCH once. Exit status 1 where a case fails, or has no check; some 15 minutes on two cores.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

LIMIT = 900  # Seconds for one case; the first of a kind makes its inputs, which trains models.
_ROW = re.compile(r"^\|\s*([A-Z]\d+)\s*\|\s*(.*?)\s*\|", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """A row of the table: its ID, and what a user does."""

    identity: str
    what: str


def cases_of(folder: Path) -> list[Case]:
    """Return the rows of the folder's tables."""
    return [Case(*row) for row in _ROW.findall((folder / "README.md").read_text(encoding="utf-8"))]


def failure_of(case: Case, folder: Path, scratch: Path) -> str:
    """Try one case; return what is wrong, empty where it is right."""
    commands = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": os.pathsep.join((commands, os.environ.get("PATH", "")))}
    command = [sys.executable, str(folder / "check.py"), str(scratch), case.identity]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it took longer than {LIMIT} s"
    if done.returncode == 0 and f"ok {case.identity}" in done.stdout.splitlines():
        return ""
    said = (done.stdout + done.stderr).strip().splitlines() or [f"exit status {done.returncode}"]
    return said[-1].removeprefix(f"FAIL {case.identity}: ")


@click.command(help=__doc__)
@click.argument("cases", type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path))
@click.argument("scratch", type=click.Path(file_okay=False, resolve_path=True, path_type=Path))
@click.argument("identities", nargs=-1)
def main(cases: Path, scratch: Path, identities: tuple[str, ...]) -> None:
    """Try the cases one after the other, and print a line for each."""
    rows = cases_of(cases)
    unknown = set(identities) - {case.identity for case in rows}
    if unknown:
        raise click.UsageError(f"{cases / 'README.md'} has no case {', '.join(sorted(unknown))}")
    scratch.mkdir(parents=True, exist_ok=True)
    chosen = [case for case in rows if not identities or case.identity in identities]
    failed = 0
    for case in chosen:
        began = time.monotonic()
        failure = failure_of(case, cases, scratch)
        failed += bool(failure)
        verdict = f"FAILS: {failure}" if failure else "right"
        click.echo(f"{case.identity:<4}{time.monotonic() - began:5.0f} s  {case.what}: {verdict}")
    click.echo(f"{len(chosen) - failed} of {len(chosen)} cases are right")
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
