"""CPU seconds of the machine, of this program, and of other programs, as psutil counts them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from .snapshot import ProcessorTime

if TYPE_CHECKING:
    import psutil

# Without idle and iowait; without guest, which is part of user; without interrupt and dpc of Windows, which
# are part of system.
_BUSY = ("user", "nice", "system", "irq", "softirq", "steal")


@dataclass(frozen=True)
class Program:
    """All processes of one name, and how many cores they kept busy on average."""

    name: str
    cores: float


@dataclass(frozen=True)
class _Process:
    name: str
    seconds: float


class ProcessorMeter:
    """Counts CPU seconds of the machine, and of this process with its children."""

    def __init__(self) -> None:
        """Remember the programs that run now; raises ImportError without psutil."""
        import psutil

        self._psutil: ModuleType = psutil
        self._children: dict[int, float] = {}  # Process id to CPU seconds, as last seen.
        self._living: dict[int, psutil.Process] = {}
        self._since = time.monotonic()
        self._programs = self._list_programs()

    def read(self, children: Sequence[int]) -> ProcessorTime:
        """Return the counters. These `children`, and those of earlier calls, count as ours."""
        for child in children:
            if child not in self._children:
                self._children[child] = 0.0
                with suppress(self._psutil.Error):
                    self._living[child] = self._psutil.Process(child)
        times = self._psutil.cpu_times()
        return ProcessorTime(
            busy=sum(getattr(times, name, 0.0) for name in _BUSY),
            stolen=getattr(times, "steal", 0.0),
            ours=time.process_time() + _ended_children_seconds() + self._living_children_seconds(),
        )

    def busiest(self, least: float, most: int) -> list[Program]:
        """Return up to `most` other programs that kept `least` cores or more busy since this meter was made.

        Programs that have ended meanwhile are not among them.
        """
        seconds: dict[str, float] = {}
        for number, process in self._list_programs().items():
            before = self._programs.get(number)
            # A process that has used less than before is another one with the same number.
            already = before.seconds if before is not None and before.seconds <= process.seconds else 0.0
            if number != os.getpid() and number not in self._children:
                seconds[process.name] = seconds.get(process.name, 0.0) + process.seconds - already
        passed = time.monotonic() - self._since
        ranked = sorted(seconds, key=lambda name: -seconds[name])[:most]
        return [Program(name, seconds[name] / passed) for name in ranked if seconds[name] >= least * passed]

    def _list_programs(self) -> dict[int, _Process]:
        found = {}
        for process in self._psutil.process_iter(["name", "cpu_times"]):
            name, times = process.info["name"] or "?", process.info["cpu_times"]
            if times is not None:  # Other users' processes may be hidden from us.
                short = (
                    "kworker" if name.startswith("kworker/") else name
                )  # The rest of the name is its work.
                found[process.pid] = _Process(short, times.user + times.system)
        return found

    def _living_children_seconds(self) -> float:
        for child, process in list(self._living.items()):
            try:
                times = process.cpu_times()
                self._children[child] = times.user + times.system
            except self._psutil.Error:
                del self._living[child]
                if hasattr(os, "wait"):  # Then it was waited for, and is in _ended_children_seconds().
                    self._children[child] = 0.0
        return sum(self._children.values())


def _ended_children_seconds() -> float:
    """Return the CPU seconds of all children that were waited for; 0 on Windows, which has no such count."""
    try:
        import resource
    except ImportError:
        return 0.0
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
