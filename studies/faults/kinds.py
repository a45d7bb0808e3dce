"""The kinds of faults: each runs a command once, and harms it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from studies.faults.commands import Subject, visible
from studies.faults.disks import cut_power, enlarge, make_image, mounted, small_disk

_LONGEST = 600.0  # Seconds; a guard against hanging.
_PATIENCE = 60.0  # Seconds.
_OLDER_KB = 64  # Room for the results of an older run.


@dataclass
class Trial:
    """One fault: where the command writes, where it is called, and what chance decides.

    `seconds` is how long the command takes undisturbed, `usage` how many kB it writes. `always` are faults
    that are preloaded in any case. `stack` undoes mounts.
    """

    subject: Subject
    folder: Path
    cwd: Path
    chance: random.Random
    seconds: float
    usage: int
    shim: Path | None
    always: Mapping[str, str]
    older: bool
    stack: ExitStack = field(default_factory=ExitStack)
    before: dict[Path, bytes] = field(default_factory=dict)

    def prepare(self) -> None:
        """Write the older results where there shall be any, and make sure that they are on the disk."""
        if self.older:
            self.subject.older(self.folder)
            self.before = {path: path.read_bytes() for path in visible(self.folder)}
            os.sync()

    @property
    def command(self) -> list[str]:
        """The command line; older results are replaced."""
        return self.subject.arguments(self.folder, self.older)


@dataclass(frozen=True)
class Ended:
    """How a run ended: its status, None where it was killed, and what it printed."""

    status: int | None
    said: str
    printed: str = ""


Kind = Callable[[Trial], list[Ended]]


def start(trial: Trial, **shim: object) -> subprocess.Popen[str]:
    """Start the command; with `shim`, such as FAULT_BYTES=100, faults are preloaded."""
    if not trial.before:
        trial.prepare()
    environment = {**os.environ, "TMPDIR": str(trial.cwd)}
    if shim or trial.always:
        given = {**trial.always, **{name: str(value) for name, value in shim.items()}}
        environment |= {"LD_PRELOAD": str(trial.shim), "FAULT_FOLDER": str(trial.folder), **given}
    return subprocess.Popen(
        trial.command, cwd=trial.cwd, env=environment, text=True, errors="replace", start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> Ended:
    """Wait for a command."""
    printed, said = process.communicate(timeout=_LONGEST)
    return Ended(process.returncode, said, printed)


def kill(trial: Trial) -> list[Ended]:
    """SIGKILL at a random moment, to the program and its children."""
    process = start(trial)
    time.sleep(trial.seconds * trial.chance.uniform(0.2, 1.05))
    return [_kill(process)]


def full_disk(trial: Trial) -> list[Ended]:
    """Write to a disk that is too small, of random size."""
    kilobytes = trial.chance.randint(4, max(8, trial.usage))
    trial.stack.enter_context(small_disk(trial.folder, kilobytes + _OLDER_KB))
    ended = finish(start(trial))
    enlarge(trial.folder)
    return [ended]


def preloaded_full_disk(trial: Trial) -> list[Ended]:
    """A full disk in the middle of a write, at any byte."""
    return [finish(start(trial, FAULT_BYTES=trial.chance.randint(0, trial.usage * 1000)))]


def full_at_rename(trial: Trial) -> list[Ended]:
    """The disk is full whenever a file is to get its name."""
    return [finish(start(trial, FAULT_RENAME=1))]


def read_only(trial: Trial) -> list[Ended]:
    """From a random call on the disk can only be read."""
    return [finish(start(trial, FAULT_READONLY=trial.chance.randint(0, 60)))]


def two_writers(trial: Trial) -> list[Ended]:
    """Two programs write the same files at once."""
    first = start(trial)
    time.sleep(trial.seconds * trial.chance.uniform(0, 0.5))
    second = start(trial)
    return [finish(first), finish(second)]


def jumping_clock(trial: Trial) -> list[Ended]:
    """The clock jumps ahead and back again by up to a year.

    TensorFlow waits by this clock, and may stand still where it is set back: then a person kills it.
    """
    process = start(trial, FAULT_CLOCK=trial.chance.choice((90, 3600, 86_400, 31_536_000)))
    try:
        process.wait(_PATIENCE + 5 * trial.seconds)
    except subprocess.TimeoutExpired:
        return [_kill(process)]
    return [finish(process)]


def power_cut(trial: Trial) -> list[Ended]:
    """What was on the disk at a random moment, or as soon as the program had ended, is mounted again.

    The program stands still while the disk is copied.
    """
    image, copy = trial.folder.parent / "disk.img", trial.folder.parent / "copy.img"
    make_image(image)
    with mounted(image, trial.folder):
        process = start(trial)
        if trial.chance.random() < 0.5:
            ended = finish(process)
            cut_power(image, copy)
        else:
            time.sleep(trial.seconds * trial.chance.uniform(0.3, 1.0))
            _signal(process, signal.SIGSTOP)
            cut_power(image, copy)
            ended = _kill(process)
    trial.stack.enter_context(mounted(copy, trial.folder))
    return [ended]


def _signal(process: subprocess.Popen[str], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _kill(process: subprocess.Popen[str]) -> Ended:
    was_done = process.poll()
    _signal(process, signal.SIGKILL)
    printed, said = process.communicate(timeout=_LONGEST)
    return Ended(was_done, said, printed)


PRELOADED: dict[str, Kind] = {
    "ENOSPC in a write": preloaded_full_disk,
    "ENOSPC at the rename": full_at_rename,
    "read-only": read_only,
    "clock that jumps": jumping_clock,
}
MOUNTED: dict[str, Kind] = {"small disk": full_disk, "power cut": power_cut}
ALWAYS: dict[str, Kind] = {"kill -9": kill, "two writers": two_writers}
