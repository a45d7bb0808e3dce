"""How figures are written: with three significant digits and their unit."""

from __future__ import annotations

import math

from .result import Interval

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def number(value: float, like: float | None = None) -> str:
    """Return `value` with three significant digits, or with the decimals that `like` has by that rule."""
    return f"{value:,.{_decimals(value if like is None else like)}f}"


def milliseconds(value: float | None) -> str:
    """Return a time in ms, or a dash."""
    return "-" if value is None else f"{number(value)} ms"


def between(interval: Interval, like: float) -> str:
    """Return "low to high", with the decimals that `like` has by the rule of `number`."""
    return f"{number(interval[0], like)} to {number(interval[1], like)}"


def megabytes(value: float | None) -> str:
    """Return MB, or a dash."""
    return "-" if value is None else f"{number(value)} MB"


def percent(share: float | None) -> str:
    """Return a share of 1 in per cent, or a dash."""
    return "-" if share is None else f"{share * 100:.1f} %"


def percent_between(interval: Interval) -> str:
    """Return an interval of shares in per cent, without the sign."""
    return f"{interval[0] * 100:.1f} to {interval[1] * 100:.1f}"


def signed_percent(share: float) -> str:
    """Return a change in per cent, with its sign."""
    return f"{share * 100:+.1f} %"


def points(fraction: float) -> str:
    """Return a difference of rates in words, such as "1 point" or "0.5 points"."""
    return f"{fraction * 100:g} point{'' if fraction == 0.01 else 's'}"


def counted(value: int) -> str:
    """Return a count with commas between thousands."""
    return f"{value:,}"


def scaled(value: float | None) -> str:
    """Return a large count such as "301 M", or a dash."""
    if value is None:
        return "-"
    for size, prefix in _PREFIXES:
        if value >= size:
            return f"{number(value / size)} {prefix}"
    return number(value)


def _decimals(value: float) -> int:
    if value == 0 or not math.isfinite(value):
        return 0
    # Rounded first: 9.996 is written as 10.0, not as 10.00.
    size = math.floor(math.log10(float(f"{abs(value):.2e}")))
    return min(max(2 - size, 0), 3 if size >= -2 else 6)
