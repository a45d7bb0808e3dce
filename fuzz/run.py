"""Usage: python -m fuzz.run [--seconds 10] [--target NAME ...] [--corpus build/fuzz]

Fuzzes every reader of what strangers made, one after the other, each in a process of its own: `--seconds` for
each. A finding is an error that the reader does not document, a broken promise of the target, more than ten
seconds for a few kilobytes, or more than 2 GB of memory. Inputs that reach something new are kept in
`--corpus`, and the next run begins with them; what was found lies in a file there. The exit status is 1 where
anything was found.

Needs atheris, which is there for Linux on x86_64 and Python 3.11 to 3.13 (pip install ".[fuzz]"). Where it is
missing nothing is fuzzed, and that is said.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import click

from .target import Target
from .targets import TARGETS

SLOWEST_S = 10
_START_S = 600  # For instrumenting the imports, and the first pass over the corpus.
_STATISTICS = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+)")
_CAUSE = re.compile(
    r"^(?:\w+\.)*\w*(?:Error|Exception|Warning|Interrupt)\b.*|^SUMMARY: .*|^==\d+== ERROR: .*", re.M
)


@dataclass(frozen=True)
class Outcome:
    """What fuzzing a target gave: executions, edges that were reached, and the finding, if there is one."""

    target: str
    executions: int
    edges: int
    finding: str | None
    file: Path | None

    def describe(self) -> str:
        """Return a line of the report."""
        line = f"{self.target}: {self.executions:,} executions, {self.edges:,} edges"
        return line if self.finding is None else f"{line}\n    FOUND: {self.finding}\n    in {self.file}"


@click.command(help=__doc__)
@click.option("--seconds", type=click.IntRange(1), default=10, show_default=True, help="For each target.")
@click.option("--target", "names", type=click.Choice(sorted(TARGETS)), multiple=True, help="By default all.")
@click.option("--corpus", type=click.Path(path_type=Path), default=Path("build/fuzz"), show_default=True,
              help="Where inputs are kept.")  # fmt: skip
def main(seconds: int, names: Sequence[str], corpus: Path) -> None:
    """Fuzz, and print a line for each target."""
    if importlib.util.find_spec("atheris") is None:
        click.echo(
            "Nothing is fuzzed: atheris is not installed, and cannot be had for every Python and processor. "
            'Where it can: pip install ".[fuzz]"'
        )
        return
    found = 0
    for name in names or TARGETS:
        outcome = fuzz(TARGETS[name], seconds, corpus / name)
        click.echo(outcome.describe())
        found += outcome.finding is not None
    if found:
        raise click.exceptions.Exit(1)


def fuzz(target: Target, seconds: int, corpus: Path) -> Outcome:
    """Fuzz one target for so many seconds; `corpus` is its folder, which gets the seeds first."""
    write_seeds(target, corpus)
    findings = corpus.with_name(f"{corpus.name}-found")
    findings.mkdir(parents=True, exist_ok=True)
    known = set(findings.iterdir())
    command = [
        sys.executable, "-m", "fuzz.one", target.name, str(corpus), f"-max_total_time={seconds}",
        f"-timeout={SLOWEST_S}", f"-max_len={target.longest}",
        f"-artifact_prefix={findings}/", "-print_final_stats=1", "-verbosity=1",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False,
            timeout=seconds + _START_S + SLOWEST_S,
        )  # fmt: skip
        output, failed = done.stdout + done.stderr, done.returncode != 0
    except subprocess.TimeoutExpired as late:
        said = b"".join(part for part in (late.stdout, late.stderr) if isinstance(part, bytes))
        output = f"Error: it did not end {_START_S} seconds after its time\n{said.decode(errors='replace')}"
        failed = True
    return _outcome(target.name, output, failed, sorted(set(findings.iterdir()) - known))


def write_seeds(target: Target, corpus: Path) -> None:
    """Write the files to begin with, by the checksums of their content as libFuzzer names its own."""
    corpus.mkdir(parents=True, exist_ok=True)
    for data in target.seeds():
        (corpus / sha256(data).hexdigest()[:40]).write_bytes(data)


def _outcome(name: str, output: str, failed: bool, files: Sequence[Path]) -> Outcome:
    statistics = _STATISTICS.findall(output)
    executions, edges = (max(int(row[place]) for row in statistics) if statistics else 0 for place in (0, 1))
    if not failed:
        return Outcome(name, executions, edges, None, None)
    causes = _CAUSE.findall(output)
    cause = causes[0] if causes else (output.strip().splitlines() or ["it printed nothing"])[-1]
    return Outcome(name, executions, edges, cause[:300], files[0] if files else None)


if __name__ == "__main__":
    main()
