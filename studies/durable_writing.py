"""Usage: python studies/durable_writing.py [--photos 600] [--megabytes 10] [--writes 100] [--folder DIR]

Claim: durable writing costs less than 3 % of a folder run with --output, at most two syncs a collected
picture, and nothing where a single photo is classified.

edge-classify runs as users run it, under strace, which counts the calls that sync and how long each took. The
results lie on an ext4 disk that is slowed down to a cheap card: so many MB and so many writes a second (by
Linux's blkio.throttle on a loop device, which needs root and control groups of version 1). Where that is not
to be had, or with --folder, they lie in a folder as fast as it is, and the first line says so.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from PIL import Image

_THROTTLE = Path("/sys/fs/cgroup/blkio")
_SYNCS = "fsync,fdatasync,syncfs,sync"
_CALL = re.compile(r"\b(?:fsync|fdatasync|syncfs|sync)\b.*<(\d+\.\d+)>$")


@dataclass(frozen=True)
class Cost:
    """Of a run: seconds in all, the seconds of each call that synced, and how many pictures were written."""

    seconds: float
    syncs: list[float]
    pictures: int

    def row(self, title: str) -> str:
        """Return a row of the table."""
        share = sum(self.syncs) / self.seconds
        each = f"{len(self.syncs) / self.pictures:.2f}" if self.pictures else "-"
        return f"| {title} | {self.seconds:.1f} s | {len(self.syncs)} | {each} | {share:.1%} |"


@click.command(help=__doc__)
@click.option("--photos", default=600, show_default=True)
@click.option("--megabytes", default=10, show_default=True, help="MB that the card takes in a second.")
@click.option("--writes", default=100, show_default=True, help="Writes that the card takes in a second.")
@click.option(
    "--folder", type=click.Path(exists=True, path_type=Path), help="Write here, and slow down nothing."
)
def main(photos: int, megabytes: int, writes: int, folder: Path | None) -> None:
    """Run what is claimed, and print the table."""
    if shutil.which("strace") is None:
        raise click.ClickException("strace is missing")
    with (
        tempfile.TemporaryDirectory(prefix="durable-") as name,
        _card(folder, megabytes, writes) as (card, what),
    ):
        many, few = _draw(Path(name) / "many", photos), _draw(Path(name) / "few", 60)
        click.echo(f"{what}\n\n| run | time | syncs | a picture | share of the time |\n|---|--:|--:|--:|--:|")
        lines = ("--json", "--output", card / "lines.jsonl")
        click.echo(_run(many, *lines).row(f"{photos} photos, --output"))
        kept = ("--collect", card / "unsure", "--collect-random", 1, "--json")
        click.echo(_run(few, *kept, made=card / "unsure" / "unsure").row("60 photos, all collected"))
        shown = ("--save-annotated", card / "shown", "--json")
        click.echo(_run(few, *shown, made=card / "shown").row("60 photos, --save-annotated"))
        one = ("--collect", card / "one", "--collect-random", 1, "--json")
        click.echo(_run(few / "0.jpg", *one, made=card / "one" / "unsure").row("1 photo, collected"))
        click.echo(_run(many / "99.jpg", *one, made=card / "one" / "unsure").row("1 more, collected"))
        click.echo(_run(few / "0.jpg").row("1 photo, printed"))


def _draw(folder: Path, count: int) -> Path:
    """Write photos of 640x480 pixels, no two of one scene."""
    folder.mkdir()
    random = np.random.default_rng(1)
    for number in range(count):
        blocks = Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8))
        blocks.resize((640, 480), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg", quality=90)
    return folder


def _run(source: Path, *options: object, made: Path | None = None) -> Cost:
    """Classify under strace; `made` is the folder in which new pictures are counted."""
    before = len(list(made.glob("*.jpg"))) if made else 0
    with tempfile.NamedTemporaryFile("r") as trace:
        strace = ["strace", "-f", "--seccomp-bpf", "-T", "-e", f"trace={_SYNCS}", "-o", trace.name]
        command = [*strace, sys.executable, "-m", "edge_classify.edge", str(source), *map(str, options)]
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        elapsed = time.monotonic() - began
        if done.returncode:
            raise click.ClickException(done.stderr)
        syncs = [float(found[1]) for line in trace if (found := _CALL.search(line.rstrip()))]
    return Cost(elapsed, syncs, len(list(made.glob("*.jpg"))) - before if made else 0)


@contextmanager
def _card(folder: Path | None, megabytes: int, writes: int) -> Iterator[tuple[Path, str]]:
    """Yield a folder to write into, and what kind of disk it is."""
    if folder is not None:
        yield folder, f"{folder}, as fast as it is"
        return
    with tempfile.TemporaryDirectory(prefix="card-") as name:
        image, mounted = Path(name) / "image", Path(name) / "card"
        mounted.mkdir()
        with image.open("wb") as file:
            file.truncate(512 * 2**20)
        try:
            _call("mkfs.ext4", "-q", "-F", image)
            device = _call("losetup", "-f", "--show", image)
        except (OSError, subprocess.CalledProcessError) as error:
            yield mounted, f"A folder as fast as it is, because no disk image can be used here ({error})"
            return
        try:
            numbers = _call("lsblk", "-no", "MAJ:MIN", device)
            _call("mount", device, mounted)
            with _slowed(numbers, megabytes, writes) as what:
                yield mounted, f"ext4 on a loop device, {what}"
            _call("umount", "-l", mounted)
        finally:
            _call("losetup", "-d", device)


@contextmanager
def _slowed(numbers: str, megabytes: int, writes: int) -> Iterator[str]:
    """Let a disk take so many MB and so many writes a second; yields what was reached."""
    limits = {"write_bps_device": megabytes * 2**20, "write_iops_device": writes}
    try:
        for name, limit in limits.items():
            (_THROTTLE / f"blkio.throttle.{name}").write_text(f"{numbers} {limit}")
    except OSError as error:
        yield f"as fast as it is ({error.strerror}: {error.filename})"
        return
    try:
        yield f"which takes {megabytes} MB and {writes} writes a second"
    finally:
        for name in limits:
            (_THROTTLE / f"blkio.throttle.{name}").write_text(f"{numbers} 0")


def _call(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
