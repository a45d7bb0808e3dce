"""Energy of an inference, where a counter or a power meter tells.

What the idle machine takes is always included: every `source` says what else its figure covers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ...edge.doctor.files import read_number, read_text
from ..results.sections import Energy
from .snapshot import Span


class Meter(Protocol):
    """Something that tells energy or power."""

    def joules(self) -> float | None:
        """Return what it has counted up to now; None for a meter that tells power."""

    def energy(self, spans: Sequence[Span], runs: int) -> Energy:
        """Return the energy of one of the `runs` inferences that ran in these spans."""

    def close(self) -> None:
        """Stop measuring."""


class NoMeter:
    """Stands for a machine that tells no energy."""

    def __init__(self, reason: str) -> None:
        """Give this reason."""
        self._reason = reason

    def joules(self) -> float | None:
        """Return None."""
        return None

    def energy(self, spans: Sequence[Span], runs: int) -> Energy:
        """Return the reason."""
        return Energy(None, None, self._reason)

    def close(self) -> None:
        """Do nothing."""


class RaplMeter:
    """Intel's and AMD's counters of the processor packages' energy.

    Files: https://www.kernel.org/doc/html/latest/power/powercap/powercap.html, in uJ. A counter starts again
    from 0 after max_energy_range_uj: some minutes, so that no more than one turn lies between two readings.
    """

    def __init__(self, packages: Sequence[Path]) -> None:
        """Count from now on, with these folders."""
        names = ", ".join(read_text(package / "name") or package.name for package in packages)
        self._source = f"RAPL {names}: the whole processor, idle power included"
        self._counters = [_WrappingCounter(package) for package in packages]

    def joules(self) -> float | None:
        """Return what all packages took since the meter was made; None where one can't be read."""
        counted = [counter.read() for counter in self._counters]
        return None if None in counted else sum(value for value in counted if value is not None) / 1e6

    def energy(self, spans: Sequence[Span], runs: int) -> Energy:
        """Return what was counted within the spans, by inference."""
        total = 0.0
        for before, after in spans:
            if before.joules is None or after.joules is None:
                return Energy(None, self._source, "the counter could not be read any more")
            total += after.joules - before.joules
        return per_inference(total, runs, self._source)

    def close(self) -> None:
        """Do nothing: the counter counts anyway."""


class _WrappingCounter:
    """energy_uj of a package as a number that only grows."""

    def __init__(self, package: Path) -> None:
        self._file = package / "energy_uj"
        self._range = read_number(package / "max_energy_range_uj")
        self._last = read_number(self._file)
        self._total = 0

    def read(self) -> int | None:
        """Return the uJ since this object was made."""
        now = read_number(self._file)
        if now is None or self._last is None:
            return None
        step = now - self._last
        if step < 0:  # It counts up to the range, then from 0.
            if self._range is None:
                return None
            step += self._range + 1
        self._total += step
        self._last = now
        return self._total


def rapl_packages(root: Path) -> list[Path]:
    """Return the folders of the processor packages, not those of their parts, nor psys: the whole board."""
    zones = sorted((root / "sys/class/powercap").glob("intel-rapl:*"))
    return [zone for zone in zones if (read_text(zone / "name") or "").startswith("package")]


def per_inference(joules: float, runs: int, source: str) -> Energy:
    """Return so many joules, shared out among so many inferences."""
    if runs < 1:
        return Energy(None, source, "nothing was run")
    return Energy(round(joules * 1000 / runs, 4), source, None)
