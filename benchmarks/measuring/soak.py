"""A model that runs for minutes without a pause: how heat changes its latency."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from ...edge.errors import BenchmarkError
from ...edge.progress import Advance
from ..results.result import Soak, SoakPoint
from ..surroundings.snapshot import neighbours
from ..surroundings.watch import Watch
from .distribution import percentile
from .process import Worker
from .records import Measurement

_POINT_S = 2.0
_MAX_POINTS = 600


def count_points(minutes: float) -> int:
    """Return how many points a soak of so many minutes has."""
    return max(1, round(minutes * 60 / _seconds_a_point(minutes)))


def soak(measurement: Measurement, minutes: float, watch: Watch, advance: Advance) -> None:
    """Run a model in a new process, and append a point to its `soak` every few seconds.

    When the worker fails, the points so far are kept, and `soak_failure` says why. `advance` is called once
    for each of count_points(minutes), until the worker fails.
    """
    worker = Worker(measurement.model_run)
    try:
        worker.started()
        worker.load()
        _run(worker, measurement, minutes, watch, advance)
    except BenchmarkError as error:
        measurement.soak_failure = str(error)
    finally:
        worker.close()


def summarize_soak(points: Sequence[SoakPoint]) -> Soak | None:
    """Return the points with their slowdown from the first tenth to the last; None without any."""
    if not points:
        return None
    tenth = max(1, len(points) // 10)
    first, last = (
        float(np.median([point.median_ms for point in some])) for some in (points[:tenth], points[-tenth:])
    )
    return Soak(round(points[-1].seconds / 60, 2), round(last / first - 1, 4), tuple(points))


def _run(worker: Worker, measurement: Measurement, minutes: float, watch: Watch, advance: Advance) -> None:
    began, pids = time.monotonic(), [worker.pid]
    for number in range(count_points(minutes)):
        ends = began + (number + 1) * _seconds_a_point(minutes)
        if measurement.soak and time.monotonic() >= ends:  # One run of a slow model spans several points.
            advance()
            continue
        before = watch.snapshot(pids)
        block = worker.time_for(ends - time.monotonic())
        after = watch.snapshot(pids)
        latencies = np.array(block.latencies)
        others = neighbours([(before, after)])
        measurement.soak.append(
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
    """Return the length of a point: so long that there are at most _MAX_POINTS."""
    return max(_POINT_S, minutes * 60 / _MAX_POINTS)
