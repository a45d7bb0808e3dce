"""The machine at one moment, and what went on between two of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ProcessorTime:
    """CPU seconds, of all cores together, since some time in the past.

    `busy` is of all programs and of the kernel, with what the hypervisor gave to other machines, which is
    also apart in `stolen`; `ours` of this process and of its children.
    """

    busy: float
    stolen: float
    ours: float


@dataclass(frozen=True)
class Snapshot:
    """What Watch saw at a moment; None for what this machine doesn't tell.

    `seconds` is of time.monotonic(). `processor` is None without psutil. `clock_mhz` is the fastest core's:
    the others may idle. `temperature_c` is the hottest sensor's. `throttled` holds the bits of the board's
    firmware, see edge/board.py. `swapped` counts pages read from swap and written to it, `joules` is what
    the energy counter has counted.
    """

    seconds: float
    processor: ProcessorTime | None = None
    clock_mhz: float | None = None
    temperature_c: float | None = None
    throttled: int | None = None
    swapped: int | None = None
    joules: float | None = None


# Before and after something that was measured.
Span = tuple[Snapshot, Snapshot]


@dataclass(frozen=True)
class Neighbours:
    """How many cores others kept busy on average; `stolen` is the part that a hypervisor gave away."""

    cores: float
    stolen: float


def elapsed(spans: Sequence[Span]) -> float:
    """Return how many seconds these spans took together."""
    return sum(after.seconds - before.seconds for before, after in spans)


def neighbours(spans: Sequence[Span]) -> Neighbours | None:
    """Return what others did during these spans; None where the processor's time isn't told.

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
    # Some kernels count as ours what was stolen from us: others had at least the stolen time.
    stolen = max(stolen, 0.0) / seconds
    return Neighbours(max(busy / seconds, stolen), stolen)


def most_neighbours(spans: Sequence[Span], seconds: float) -> float | None:
    """Return the most cores that others kept busy in any stretch of the spans of at least so many seconds."""
    found = [neighbours(stretch) for stretch in stretches(spans, seconds)]
    return max((told.cores for told in found if told is not None), default=None)


def stretches(spans: Sequence[Span], seconds: float) -> Iterator[Sequence[Span]]:
    """Yield the spans in order, in groups that take at least so long each, if all together do."""
    start, left, taken = 0, elapsed(spans), 0.0
    for end, span in enumerate(spans, start=1):
        length = elapsed([span])
        taken, left = taken + length, left - length
        if taken >= seconds and left >= seconds:
            yield spans[start:end]
            start, taken = end, 0.0
    if start < len(spans):
        yield spans[start:]
