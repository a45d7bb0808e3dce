"""The machine at one moment, and the time that others used between two moments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ProcessorTime:
    """CPU seconds of all cores together, since some time in the past.

    `busy` is the time of all programs and of the kernel, and `ours` that of this process and its children.
    `stolen` is the part of `busy` that the hypervisor gave to other machines.
    """

    busy: float
    stolen: float
    ours: float


@dataclass(frozen=True)
class Snapshot:
    """The readings of Watch at one moment; None for those that this machine does not have.

    `seconds` is time.monotonic(). `processor` is None without psutil. `clock_mhz` is that of the fastest
    core: the others may idle. `temperature_c` is that of the hottest sensor. `throttled` holds the bits of
    the firmware, see edge/board.py. `swapped` counts pages read from swap and written to it, `joules` is the
    reading of the energy counter.
    """

    seconds: float
    processor: ProcessorTime | None = None
    clock_mhz: float | None = None
    temperature_c: float | None = None
    throttled: int | None = None
    swapped: int | None = None
    joules: float | None = None


# Before and after a measured stretch of time.
Span = tuple[Snapshot, Snapshot]


@dataclass(frozen=True)
class Neighbours:
    """The mean number of cores that others kept busy; `stolen` is the part that a hypervisor gave away."""

    cores: float
    stolen: float


def elapsed(spans: Sequence[Span]) -> float:
    """Return the seconds of these spans together."""
    return sum(after.seconds - before.seconds for before, after in spans)


def neighbours(spans: Sequence[Span]) -> Neighbours | None:
    """Return how busy others were during these spans; None where the time of the processor is not known.

    The system counts in ticks of 10 ms: the spans should be half a second or more together.
    """
    seconds, busy, stolen = elapsed(spans), 0.0, 0.0
    for before, after in spans:
        if before.processor is None or after.processor is None:
            return None
        busy += after.processor.busy - before.processor.busy
        busy -= after.processor.ours - before.processor.ours
        stolen += after.processor.stolen - before.processor.stolen
    if seconds <= 0:
        return None
    # Some kernels count time that was stolen from us as ours: others had at least the stolen time.
    stolen = max(stolen, 0.0) / seconds
    return Neighbours(max(busy / seconds, stolen), stolen)


def most_neighbours(spans: Sequence[Span], seconds: float) -> float | None:
    """Return the most cores that others kept busy in any stretch of at least so many seconds of the spans."""
    found = [neighbours(stretch) for stretch in stretches(spans, seconds)]
    return max((others.cores for others in found if others is not None), default=None)


def stretches(spans: Sequence[Span], seconds: float) -> Iterator[Sequence[Span]]:
    """Yield the spans in order, in groups of at least so many seconds each, if all together take as long."""
    start, left, taken = 0, elapsed(spans), 0.0
    for end, span in enumerate(spans, start=1):
        length = elapsed([span])
        taken, left = taken + length, left - length
        if taken >= seconds and left >= seconds:
            yield spans[start:end]
            start, taken = end, 0.0
    if start < len(spans):
        yield spans[start:]
