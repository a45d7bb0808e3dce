"""Usage: python -m studies.faults [--each 9] [--train 1] [--seed 1] [--kind KIND] [--jobs 2] [--without-sync]

Claim: of 200 kills, full disks, power cuts, second writers and jumps of the clock, none loses a result that
was said to be done or an older one, none leaves a half-written file under a final name, and the next run
recovers.

Every fault goes to a real command. --each is the number of faults of each kind for each of edge-classify,
edge-convert and edge-benchmark, --train that for edge-train, which takes longer. Small disks and power cuts
need root, faults of single calls need gcc; what is missing is said and left out. The seed decides moments,
sizes and calls; how far a program has come at a moment is the machine's. With --without-sync the calls that
sync do nothing: then power cuts must be noticed, by which the study shows that it can find something.
--keep names an empty folder to work in, where trials that failed stay. Prints a table in Markdown; the exit
status is 1 where anything was lost, half-written, or not recovered.
"""

from __future__ import annotations

import os
import platform
import random
import shutil
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

import click

from studies.faults.commands import Benchmark, Classify, Convert, Subject, Train
from studies.faults.disks import can_mount
from studies.faults.judging import Verdict, judge
from studies.faults.kinds import ALWAYS, MOUNTED, PRELOADED, Kind, Trial
from studies.faults.material import make_material

Cell = tuple[str, str]


@click.command(help=__doc__)
@click.option("--each", default=9, show_default=True)
@click.option("--train", default=1, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True)
@click.option("--kind", "only", multiple=True, help="Only this kind of fault; may be repeated.")
@click.option("--without-sync", is_flag=True, help="Have the calls that sync do nothing.")
@click.option("--keep", type=click.Path(path_type=Path), help="Work here, and keep the trials that failed.")
def main(
    each: int, train: int, seed: int, jobs: int, only: tuple[str, ...], without_sync: bool, keep: Path | None
) -> None:
    """Try all faults, and print what they cost."""
    scratch = keep or Path(tempfile.mkdtemp(prefix="faults-"))
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        study = Study(scratch.resolve(), seed, without_sync)
        if unknown := set(only) - study.kinds.keys():
            raise click.UsageError(
                f"--kind {unknown.pop()} is none that can be had here: {list(study.kinds)}"
            )
        study.kinds = {name: kind for name, kind in study.kinds.items() if not only or name in only}
        found = study.run(each, train, jobs)
        _print_table(found)
    finally:
        if keep is None:
            shutil.rmtree(scratch, ignore_errors=True)
    if any(
        verdict.lost or verdict.half or verdict.unrecovered for many in found.values() for verdict in many
    ):
        raise click.exceptions.Exit(1)


class Study:
    """All trials of one seed; each works in a folder of its own."""

    def __init__(self, scratch: Path, seed: int, without_sync: bool = False) -> None:
        """Make the material, and see which kinds of faults can be had here."""
        self._scratch, self._seed = scratch, seed
        self._always = {"FAULT_NOSYNC": "1"} if without_sync else {}
        (scratch / "material").mkdir()
        material = make_material(scratch / "material", seed)
        self._subjects: tuple[Subject, ...] = tuple(
            kind(material) for kind in (Classify, Convert, Benchmark, Train)
        )
        self._shim = _compile(scratch / "shim.so")
        self.kinds: dict[str, Kind] = dict(ALWAYS)
        if self._shim is None:
            click.echo(f"gcc is missing, and so are: {', '.join(PRELOADED)}", err=True)
        else:
            self.kinds |= PRELOADED
        if can_mount():
            self.kinds |= MOUNTED
        else:
            click.echo(f"Without root there are no: {', '.join(MOUNTED)}", err=True)

    def run(self, each: int, train: int, jobs: int) -> dict[Cell, list[Verdict]]:
        """Try everything, several trials at once; return the verdicts by kind and command."""
        counts = {subject: train if isinstance(subject, Train) else each for subject in self._subjects}
        usual = {subject: self._measure(subject) for subject, count in counts.items() if count}
        asked = [
            (kind, subject, number)
            for number in range(max(counts.values()))
            for kind in self.kinds
            for subject, count in counts.items()
            if number < count
        ]
        found: dict[Cell, list[Verdict]] = defaultdict(list)
        with ThreadPoolExecutor(jobs) as pool:
            tried = pool.map(lambda one: (one, self._try(one[0], one[1], one[2], *usual[one[1]])), asked)
            for done, ((kind, subject, number), verdict) in enumerate(tried, 1):
                found[kind, subject.name].append(verdict)
                for line in _describe(verdict):
                    click.echo(f"{kind}, {subject.name}, {number}: {line}", err=True)
                if done % 20 == 0:
                    click.echo(f"{done} of {len(asked)} faults", err=True)
        return found

    def _measure(self, subject: Subject) -> tuple[float, int]:
        """Return how many seconds an undisturbed run takes, and how many kB it writes."""
        folder = self._scratch / f"usual {subject.name}"
        folder.mkdir()
        began = time.monotonic()
        done = subprocess.run(
            subject.arguments(folder, force=False), capture_output=True, text=True, check=False
        )
        elapsed = time.monotonic() - began
        wrong = [*subject.missing(folder), *subject.find_half_written(folder)]
        if done.returncode or wrong:
            raise click.ClickException(f"{subject.name} fails undisturbed: {wrong} {done.stderr}")
        usage = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return elapsed, usage // 1000

    def _try(self, kind: str, subject: Subject, number: int, seconds: float, usage: int) -> Verdict:
        name = f"{kind} {subject.name} {number}".replace(" ", "-")
        folder, cwd = self._scratch / name / "out", self._scratch / name / "cwd"
        folder.mkdir(parents=True)
        cwd.mkdir()
        chance = random.Random(f"{self._seed} {name}")
        older = kind != "two writers" and chance.random() < 0.5
        trial = Trial(subject, folder, cwd, chance, seconds, usage, self._shim, self._always, older)
        with trial.stack:
            ended = self.kinds[kind](trial)
            verdict = judge(trial, ended)
            if any(_describe(verdict)):
                for one in ended:
                    (cwd / "said.txt").open("a").write(f"status {one.status}\n{one.said}\n")
        if not any(_describe(verdict)):
            shutil.rmtree(self._scratch / name, ignore_errors=True)
        return verdict


def _compile(target: Path) -> Path | None:
    gcc = shutil.which("gcc")
    if gcc is None:
        return None
    source = Path(__file__).with_name("shim.c")
    subprocess.run([gcc, "-shared", "-fPIC", "-O1", "-o", str(target), str(source), "-ldl"], check=True)
    return target


def _describe(verdict: Verdict) -> Iterator[str]:
    yield from (f"lost: {what}" for what in verdict.lost)
    yield from (f"half-written: {what}" for what in verdict.half)
    yield from (f"not recovered: {what}" for what in verdict.unrecovered)


def _print_table(found: dict[Cell, list[Verdict]]) -> None:
    click.echo(f"{platform.platform()}, {os.cpu_count()} cores, {datetime.now(timezone.utc):%Y-%m-%d}\n")
    click.echo("| fault | command | faults | lost | half-written | recovered |\n|---|---|--:|--:|--:|--:|")
    for (kind, name), verdicts in sorted(found.items()):
        _print_row(f"{kind} | {name}", verdicts)
    _print_row("all | all", [verdict for verdicts in found.values() for verdict in verdicts])


def _print_row(title: str, verdicts: list[Verdict]) -> None:
    lost = sum(bool(verdict.lost) for verdict in verdicts)
    half = sum(bool(verdict.half) for verdict in verdicts)
    recovered = sum(not verdict.unrecovered for verdict in verdicts)
    click.echo(f"| {title} | {len(verdicts)} | {lost} | {half} | {recovered} |")


if __name__ == "__main__":
    main()
