"""Usage: python -m studies.soak [MODEL.tflite] [--minutes 60] [--seed 0] [--keep FOLDER]

Claim: an hour with a camera that goes away 20 times, and receivers that fail in every way, takes no memory,
and loses nothing without saying so.

`edge-classify` runs as users run it: with a camera on loopback that sends 10 pictures a second, two webhooks
and an MQTT broker. All of them fail in turn (studies/faulty/servers.py says how); one webhook and the broker
are back within a minute each time, the other webhook fails for up to five minutes, and refuses results. Times
shrink with --minutes. A sample of its resident memory is taken every second. The exit status is 1 where
memory after the first ten minutes (or the first sixth) exceeds by more than 5 MB what it was then, where a
result neither arrived nor was told as lost, or where 5 % or more were lost by a receiver that was always back
within a minute.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from studies.faulty.faults import follow, plan_faults
from studies.faulty.servers import Broker, Camera, FaultyServer, Hook

_LIMIT_MB = 5.0
_LIMIT_LOST = 0.05
_LOSSES = 20  # Of the camera, in an hour.
_LONGEST_START = 60.0
_LOST = re.compile(r"results that never arrived: (\d+)")


@dataclass
class Run:
    """One `edge-classify`: what it printed, and its memory in MB by seconds since its first answer."""

    process: subprocess.Popen[str]
    frames: set[int] = field(default_factory=set)
    errors: int = 0
    remarks: list[str] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)

    def read(self) -> None:
        """Read its answers and its remarks, in two threads."""
        threading.Thread(target=self._read_answers, daemon=True).start()
        threading.Thread(target=self._read_remarks, daemon=True).start()

    def watch(self, seconds: float) -> None:
        """Wait, and note its memory every second; raises RuntimeError where it ends."""
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            if self.process.poll() is not None:
                raise RuntimeError(f"edge-classify ended after {passed:.0f} s: {self.remarks[-3:]}")
            self.memory.append((passed, _resident(self.process.pid)))
            time.sleep(1.0)

    def stop(self) -> None:
        """End it as systemd does, and wait for its last words."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        time.sleep(1.0)  # For the threads that read.

    def told_lost(self, port: int) -> int:
        """Return how many results a receiver never got, by the last remark on it."""
        found = [text for text in self.remarks if f":{port}: " in text and _LOST.search(text)]
        return int(_LOST.findall(found[-1])[0]) if found else 0

    def _read_answers(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            record = json.loads(line)
            if "error" in record:
                self.errors += 1
            else:
                self.frames.add(record["frame"])

    def _read_remarks(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.remarks.append(line.rstrip())


@dataclass(frozen=True)
class Tally:
    """What became of the results for one receiver."""

    name: str
    produced: int
    arrived: int
    told: int
    repeated: int

    @property
    def untold(self) -> int:
        """Results that neither arrived nor were told as lost."""
        return max(0, self.produced - self.arrived - self.told)

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.produced:,} results, {self.arrived:,} arrived, {self.told:,} told as lost "
            f"({self.told / max(1, self.produced):.2%}), {self.untold} lost untold, {self.repeated} twice"
        )


def start(model: Path | None, camera: Camera, hooks: Sequence[Hook], broker: Broker) -> Run:
    """Start the command, and wait for its first answer."""
    command = [sys.executable, "-m", "edge_classify.edge", "--camera", f"http://127.0.0.1:{camera.port}/"]
    command += ["--json", "--publish", f"mqtt://127.0.0.1:{broker.port}/soak"]
    command += ["--model", str(model)] if model else []
    for hook in hooks:
        command += ["--webhook", f"http://127.0.0.1:{hook.port}/hook"]
    environment = {**os.environ, "no_proxy": "*", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    run = Run(process)
    run.read()
    end = time.monotonic() + _LONGEST_START
    while not run.frames:
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"edge-classify gave no answer: {run.remarks[-3:]}")
        time.sleep(0.1)
    return run


def plan(minutes: float, seed: int, stopping: threading.Event, *servers: FaultyServer) -> None:
    """Begin the faults of the camera, of two webhooks and of the broker."""
    camera, hook, other, broker = servers
    seconds, scale = minutes * 60, min(1.0, minutes / 15)
    count = max(1, round(_LOSSES * min(1.0, minutes / 60)))
    absent = seconds / (count + 1) / 4
    losses = plan_faults(Camera.KINDS, seconds, (absent / 4, absent / 3), (3.4 * absent, 3.6 * absent), seed)
    short = (20 * scale, 55 * scale), (30 * scale, 75 * scale)
    long = (60 * scale, 300 * scale), (30 * scale, 120 * scale)
    follow(losses, camera.fail, stopping)
    follow(plan_faults(Hook.KINDS, seconds, *short, seed + 1), hook.fail, stopping)
    kinds = ("refused", "404", *Hook.KINDS)
    follow(plan_faults(kinds, seconds, *long, seed + 2), other.fail, stopping)
    follow(plan_faults(Broker.KINDS, seconds, *short, seed + 3), broker.fail, stopping)


def growth(memory: Sequence[tuple[float, float]], settled: float) -> tuple[float, float, float]:
    """Return the memory when it had settled, the most after it, and the last, in MB."""
    before = [
        megabytes for seconds, megabytes in memory if settled - max(3.0, settled / 10) < seconds <= settled
    ]
    after = [megabytes for seconds, megabytes in memory if seconds > settled]
    return max(before), max(after), after[-1]


def tallies(run: Run, hooks: Sequence[Hook], broker: Broker) -> list[Tally]:
    """Return what became of the results for each receiver."""
    produced = len(run.frames) + run.errors
    found = [
        Tally(name, produced, len(hook.received), run.told_lost(hook.port), hook.repeated)
        for name, hook in zip(("webhook", "webhook that fails for long"), hooks, strict=True)
    ]
    arrived = len(broker.received) + min(broker.errors, run.errors)
    return [*found, Tally("broker", produced, arrived, run.told_lost(broker.port), broker.repeated)]


def judge(run: Run, found: Sequence[Tally], settled: float) -> bool:
    """Print memory and tallies; return whether all bars are kept."""
    start_mb, most, last = growth(run.memory, settled)
    click.echo(
        f"memory: {start_mb:.1f} MB after {settled / 60:.1f} minutes, then at most {most - start_mb:+.1f} "
        f"MB, in the end {last - start_mb:+.1f} MB (bar: +{_LIMIT_MB:g} MB)"
    )
    for tally in found:
        click.echo(str(tally))
    lost = max(found[0].told / found[0].produced, found[2].told / found[2].produced)
    return most - start_mb <= _LIMIT_MB and not any(tally.untold for tally in found) and lost < _LIMIT_LOST


def soak(model: Path | None, minutes: float, seed: int, keep: Path) -> bool:
    """Run it; return whether all bars are kept."""
    camera, hooks, broker = Camera(), (Hook(), Hook()), Broker()
    stopping = threading.Event()
    run = start(model, camera, hooks, broker)
    try:
        plan(minutes, seed, stopping, camera, *hooks, broker)
        run.watch(minutes * 60)
        stopping.set()
        run.stop()
    finally:
        stopping.set()
        run.process.kill()
        keep.joinpath("remarks.txt").write_text("\n".join(run.remarks) + "\n", encoding="utf-8")
        rows = [f"{seconds:.1f},{megabytes:.3f}" for seconds, megabytes in run.memory]
        keep.joinpath("memory.csv").write_text("\n".join(["seconds,MB", *rows]) + "\n", encoding="utf-8")
    for name, server in (("camera", camera), ("webhooks", hooks[0]), ("", hooks[1]), ("broker", broker)):
        click.echo(f"{name:10} failed: " + ", ".join(f"{n} x {kind}" for kind, n in server.faults.items()))
        server.stop()
    click.echo(f"camera lost {run.errors} times; {len(run.remarks)} remarks in all")
    return judge(run, tallies(run, hooks, broker), min(600.0, minutes * 10))


def _resident(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@click.command(help=__doc__)
@click.argument("model", type=click.Path(exists=True, path_type=Path), required=False)
@click.option("--minutes", default=60.0, show_default=True, type=click.FloatRange(min=0.5))
@click.option("--seed", default=0, show_default=True)
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="For remarks and memory.")
def main(model: Path | None, minutes: float, seed: int, keep: Path | None) -> None:
    """Run it for some minutes, and judge."""
    folder = keep or Path(tempfile.mkdtemp(prefix="soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    if not soak(model, minutes, seed, folder):
        click.echo(f"A bar was missed. Remarks and memory: {folder}", err=True)
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
