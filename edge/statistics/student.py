"""Student's t distribution."""

from __future__ import annotations

import math


def t_p_value(t: float, freedom: int) -> float:
    """Return the two-sided p-value of `t`: the probability of a value at least as far from 0.

    M. Abramowitz, I. A. Stegun, Handbook of Mathematical Functions (1964), 26.7.3 and 26.7.4: finite sums.
    Raises ValueError for fewer than one degree of freedom.
    """
    if freedom < 1:
        raise ValueError(f"degrees of freedom must be at least 1. Received: {freedom}")
    angle = math.atan(abs(t) / math.sqrt(freedom))
    odd = freedom % 2
    term = total = math.cos(angle) if odd else 1.0
    for k in range(2 + odd, freedom, 2):
        term *= math.cos(angle) ** 2 * (k - 1) / k
        total += term
    if freedom == 1:
        total = 0.0
    inside = math.sin(angle) * total
    if odd:
        inside = 2 / math.pi * (angle + inside)
    return min(1.0, max(0.0, 1.0 - inside))


def t_quantile(p_value: float, freedom: int) -> float:
    """Return the t above 0 whose two-sided p-value is `p_value`, which is above 0 and below 1."""
    low, high = 0.0, 1.0
    while t_p_value(high, freedom) > p_value:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if t_p_value(middle, freedom) > p_value else (low, middle)
    return high
