"""Which results are worth choosing between: those that no other one beats in both speed and accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .result import Failure, Result


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


def best_results(results: Sequence[Result | Failure]) -> list[Result]:
    """Return the results on the front of median against top-1, fastest first, of those that were scored."""
    scored = [(r, r.accuracy.top1) for r in results if isinstance(r, Result) and r.accuracy is not None]
    return [scored[i][0] for i in pareto_front([(r.latency.median_ms, top1) for r, top1 in scored])]
