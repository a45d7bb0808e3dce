"""Watches the machine while it is measured."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import reduce
from operator import or_
from pathlib import Path
from types import TracebackType

from ...edge.board import (
    Clock,
    clock_domains,
    hottest,
    parse_throttled,
    problems_between,
    problems_now,
    temperature_sensors,
    throttled_bits,
    throttled_file,
)
from ...edge.procfs import read_text
from ..results.result import Caveat, Conditions, Energy, Interval
from . import caveats
from .energy import find_meter
from .processor import ProcessorMeter
from .snapshot import Neighbours, Snapshot, Span, elapsed, most_neighbours, neighbours

_READING_SHARE = 0.02  # Of the time, for a sensor that is slow to read.
_LEAST_NAMED = 0.05  # Cores that a program must have kept busy to be named.
_MOST_NAMED = 3


class Watch:
    """Reads processor time, clock, heat, power supply and energy before and after what is measured.

        with Watch() as watch:
            before = watch.snapshot(children)
            ...
            spans.append((before, watch.snapshot(children)))
            conditions, energy = watch.conditions(spans), watch.energy(spans, runs)

    `root` is where /proc and /sys lie.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        """Find the sensors of this machine, and remember the programs that run; takes some 10 ms."""
        self._vmstat = root / "proc/vmstat"
        self._throttled_file = throttled_file(root)
        self._root = root
        self._domains = clock_domains(root)
        self._sensors = temperature_sensors(root)
        self._clock = _Unhurried(self._read_clock)
        self._temperature = _Unhurried(self._read_temperature)
        self._meter = find_meter(root)
        self._throttled_before = throttled_bits(root)
        self._processor: ProcessorMeter | None = None
        with suppress(ImportError):
            self._processor = ProcessorMeter()

    def snapshot(self, children: Sequence[int] = ()) -> Snapshot:
        """Read all sensors, in less than 1 ms.

        `children` are process ids of children of this process: their time counts as ours from the first
        snapshot that names them. The time of children that were waited for always counts as ours.
        """
        processor = self._processor.read(children) if self._processor else None
        return Snapshot(
            seconds=time.monotonic(),
            processor=processor,
            clock_mhz=self._clock.read(),
            temperature_c=self._temperature.read(),
            throttled=parse_throttled(read_text(self._throttled_file)),
            swapped=self._read_swapped(),
            joules=self._meter.joules(),
        )

    def conditions(self, spans: Sequence[Span]) -> Conditions:
        """Return the conditions of the machine during these spans, with warnings about disturbances.

        The clock counts at the ends of spans only: a machine that waits may lower it.
        """
        seen = [snapshot for span in spans for snapshot in span]
        clocks = [after.clock_mhz for _, after in spans if after.clock_mhz is not None]
        heat = [snapshot.temperature_c for snapshot in seen if snapshot.temperature_c is not None]
        clock = self._fastest_clock()
        problems = self._problems(seen)
        mean, most = neighbours(spans), most_neighbours(spans, caveats.STRETCH)
        found = (
            self._about_neighbours(spans, mean, most),
            caveats.about_clock(clocks, clock),
            caveats.about_heat(max(heat, default=None)),
            caveats.about_throttling(problems or ()),
            caveats.about_governor(clock),
            caveats.about_swap(_swapped(spans)),
        )
        return Conditions(
            neighbours=round(mean.cores, 2) if mean else None,
            neighbours_max=None if most is None else round(most, 2),
            clock_mhz=_range(clocks, 0),
            temperature_c=_range(heat, 1),
            throttled=problems,
            governor=clock.governor if clock else None,
            warnings=tuple(caveat for caveat in found if caveat is not None),
        )

    def energy(self, spans: Sequence[Span], runs: int) -> Energy:
        """Return the energy of one inference; `runs` is the number of all that ran in these spans."""
        return self._meter.energy(spans, runs)

    def close(self) -> None:
        """End the thread that reads power, if any; energy() still answers."""
        self._meter.close()

    def __enter__(self) -> Watch:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _about_neighbours(
        self, spans: Sequence[Span], mean: Neighbours | None, most: float | None
    ) -> Caveat | None:
        if self._processor is None:
            return caveats.NO_PSUTIL
        if mean is None or most is None or not caveats.are_too_busy(mean, most, elapsed(spans)):
            return None
        return caveats.about_neighbours(mean, most, self._processor.busiest(_LEAST_NAMED, _MOST_NAMED))

    def _problems(self, seen: Sequence[Snapshot]) -> tuple[str, ...] | None:
        """Return the problems that the firmware reported in these snapshots, or since the Watch was made."""
        bits = [snapshot.throttled for snapshot in seen if snapshot.throttled is not None]
        after = throttled_bits(self._root)
        if after is not None:
            bits.append(after)
            if self._throttled_before is not None:
                bits.append(problems_between(self._throttled_before, after))
        return problems_now(reduce(or_, bits)) if bits else None

    def _fastest_clock(self) -> Clock | None:
        """Return the clock that may get highest: some processors have slower cores, too."""
        clocks = [domain.read() for domain in self._domains]
        return max(clocks, key=lambda clock: clock.allowed_mhz or 0, default=None)

    def _read_clock(self) -> float | None:
        known = [mhz for domain in self._domains if (mhz := domain.now_mhz()) is not None]
        return max(known, default=None)

    def _read_temperature(self) -> float | None:
        measured = hottest(self._sensors)
        return measured[0] if measured else None

    def _read_swapped(self) -> int | None:
        """Return the pages swapped in and out; psutil counts other pages, too, on other systems."""
        counts = re.findall(r"^pswp(?:in|out) (\d{1,20})$", read_text(self._vmstat) or "", re.MULTILINE)
        return sum(map(int, counts)) if counts else None


class _Unhurried:
    """A sensor that is read so rarely that reading takes at most a fiftieth of the time.

    Most sensors take microseconds; heat from the firmware of a laptop, and the clock on older kernels, take
    10 ms.
    """

    def __init__(self, read: Callable[[], float | None]) -> None:
        self._read = read
        self._next = 0.0

    def read(self) -> float | None:
        """Return the reading; None where it is unknown, or too early to read it."""
        start = time.monotonic()
        if start < self._next:
            return None
        value = self._read()
        end = time.monotonic()
        self._next = end + (end - start) / _READING_SHARE
        return value


def _range(seen: Sequence[float], digits: int) -> Interval | None:
    return (round(min(seen), digits), round(max(seen), digits)) if seen else None


def _swapped(spans: Sequence[Span]) -> int:
    pairs = [(before.swapped, after.swapped) for before, after in spans]
    return sum(after - before for before, after in pairs if before is not None and after is not None)
