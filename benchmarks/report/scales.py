"""From figures to places in a chart."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

# From this ratio of the largest to the smallest value on, small values are told apart only on a log axis.
_LOG_FROM, _LOG_TO = 5.0, 1e12
_MOST = 1e15  # Larger figures are no measurements, and would leave nothing to be told apart.
_PADDING = 0.04


@dataclass(frozen=True)
class Scale:
    """Maps `low`..`high` to the places `start`..`end` in px, which may run downwards (as heights do)."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the place of a value; one outside of the range is put at its end."""
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 7) -> list[float]:
        """Return round values (1, 2 or 5 times a power of ten) within the range, in ascending order."""
        if self.log:
            for digits in ((1, 2, 5), (1, 3), (1,)):
                marks = self._powers(digits)
                if 3 <= len(marks) <= most:
                    return marks
        return self._steps(most)

    def _powers(self, digits: tuple[int, ...]) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        marks = [digit * 10.0**power for power in range(first, last + 1) for digit in digits]
        return [mark for mark in marks if self.low <= mark <= self.high]

    def _steps(self, most: int) -> list[float]:
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= rough)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [float(f"{index * step:.12g}") for index in range(first, last + 1)]


def scale(
    values: Iterable[float], start: float, end: float, log: bool | None = None, least: float = 0.0
) -> Scale:
    """Return a scale for these values with some room at both ends.

    `log` None: logarithmic where the largest is 5 times the smallest or more, and all are above 0. A linear
    one spans `least` or more, so that noise does not look like a change.
    """
    known = [bounded(value) for value in values]
    low, high = min(known), max(known)
    if log is None:
        log = low > 0 and high >= low * _LOG_FROM and low >= high / _LOG_TO
    if log:
        room = max((high / low) ** _PADDING, 1.02)
        return Scale(low / room, high * room, start, end, log=True)
    room = max((high - low) * _PADDING, (least - (high - low)) / 2, abs(high) * 0.01, 1e-6)
    bottom = max(low - room, 0.0) if low >= 0 else low - room
    return Scale(bottom, max(high + room, bottom + least), start, end)


def bounded(value: float) -> float:
    """Return a figure that can be drawn."""
    return min(max(value, -_MOST), _MOST)


def tick_text(value: float) -> str:
    """Return an axis' figure without needless zeros."""
    return f"{value:,.10g}" if abs(value) >= 1000 else f"{value:.6g}"
