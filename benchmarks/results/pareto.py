"""Which results are worth choosing between: those that no other one beats in both speed and accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the points (cost, gain) that no other one dominates, by rising cost.

    A point dominates those that cost as much or more and gain as much or less, but not its equals. Points
    that are not numbers (NaN) are left out.
    """
    known = [i for i, point in enumerate(points) if not any(map(math.isnan, point))]
    order = sorted(known, key=lambda i: (points[i][0], -points[i][1]))
    front: list[int] = []
    for index in order:
        if not front or points[index][1] > points[front[-1]][1] or points[index] == points[front[-1]]:
            front.append(index)
    return front
