"""A model that runs for minutes without a pause: what heat does to it."""

from __future__ import annotations

import time

import numpy as np

from ...edge.errors import BenchmarkError
from ...edge.progress import Advance
from ..results.result import Soak, SoakPoint
from ..scoring.statistics import percentile
from ..surroundings.snapshot import neighbours
from ..surroundings.watch import Watch
from .process import Worker
from .records import Contender

_POINT_S = 2.0
_MAX_POINTS = 600


def count_points(minutes: float) -> int:
    """Return how many points a soak of so many minutes has."""
    return max(1, round(minutes * 60 / _seconds_a_point(minutes)))


def soak(contender: Contender, minutes: float, watch: Watch, advance: Advance) -> None:
    """Run a task in a process of its own, and append a point to its `soak` every few seconds.

    When the worker fails, the points so far are kept, and `soak_failure` says why. `advance` is called
    once for each of count_points(minutes), as long as it goes well.
    """
    worker = Worker(contender.task)
    try:
        worker.started()
        worker.load()
        _run(worker, contender, minutes, watch, advance)
    except BenchmarkError as error:
        contender.soak_failure = str(error)
    finally:
        worker.close()


def summarize_soak(points: list[SoakPoint]) -> Soak | None:
    """Return what the points tell; None without any."""
    if not points:
        return None
    tenth = max(1, len(points) // 10)
    first, last = (
        float(np.median([point.median_ms for point in some])) for some in (points[:tenth], points[-tenth:])
    )
    return Soak(round(points[-1].seconds / 60, 2), round(last / first - 1, 4), tuple(points))


def _run(worker: Worker, contender: Contender, minutes: float, watch: Watch, advance: Advance) -> None:
    began, pids = time.monotonic(), [worker.pid]
    for number in range(count_points(minutes)):
        ends = began + (number + 1) * _seconds_a_point(minutes)
        if contender.soak and time.monotonic() >= ends:  # A slow model's inference took several points' time.
            advance()
            continue
        before = watch.snapshot(pids)
        block = worker.time_for(ends - time.monotonic())
        after = watch.snapshot(pids)
        latencies = np.array(block.latencies)
        others = neighbours([(before, after)])
        contender.soak.append(
            SoakPoint(
                seconds=round(time.monotonic() - began, 1),
                median_ms=round(percentile(latencies, 50), 4),
                p99_ms=round(percentile(latencies, 99), 4),
                temperature_c=after.temperature_c,
                clock_mhz=after.clock_mhz,
                neighbours=None if others is None else round(others.cores, 2),
                rss_mb=None if block.resident_mb is None else round(block.resident_mb, 2),
            )
        )
        advance()


def _seconds_a_point(minutes: float) -> float:
    """Return the length of a point: not so short that there are more than _MAX_POINTS."""
    return max(_POINT_S, minutes * 60 / _MAX_POINTS)
