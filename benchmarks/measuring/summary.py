"""From times to figures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from statistics import median

import numpy as np

from ...edge.default_model import DEFAULT_MODEL
from ..results.result import Caveat, Interval, Latency, Memory, Ratio, Yardstick
from ..scoring.statistics import percentile
from ..surroundings.watch import Watch
from .distribution import Blocks, median_interval, theil_sen
from .plan import Failed, Measured
from .records import Contender, Sitting
from .soak import summarize_soak
from .steadiness import drift


def summarize(contenders: Sequence[Contender], watch: Watch) -> list[Measured | Failed]:
    """Return the figures of each task; those that had no turn yet and did not fail are left out."""
    found: list[Measured | Failed] = []
    for contender in contenders:
        if contender.failure is not None:
            found.append(Failed(contender.task, contender.failure))
        elif contender.turns:
            found.append(_measured(contender, watch))
    return found


def _measured(contender: Contender, watch: Watch) -> Measured:
    spans = [turn.span for turn in contender.turns]
    latency = _latency(_sittings(contender))
    conditions = watch.conditions(spans)
    return Measured(
        task=contender.task,
        runtime=contender.runtime,
        latency=latency,
        memory=_memory(_sittings(contender)),
        energy=watch.energy(spans, sum(turn.all_runs for turn in contender.turns)),
        conditions=replace(conditions, warnings=(*conditions.warnings, *_unsteady(contender, latency))),
        ratio=_ratio(contender),
        yardstick=_yardstick(contender),
        soak=summarize_soak(contender.soak),
        remarks=tuple(dict.fromkeys(_remarks(contender))),
    )


def _sittings(contender: Contender) -> list[Sitting]:
    """Return those with a turn: Ctrl-C may have come before the last one's."""
    return [sitting for sitting in contender.sittings if sitting.turns]


def _latency(sittings: Sequence[Sitting]) -> Latency:
    blocks = [[turn.latencies for turn in sitting.turns] for sitting in sittings]
    times = np.concatenate([block for process in blocks for block in process])
    return Latency(
        load_ms=round(median(sitting.loading.load_ms for sitting in sittings), 3),
        first_ms=round(median(sitting.loading.first_ms for sitting in sittings), 3),
        warm_up_runs=max(sitting.warm_up.runs for sitting in sittings),
        steady=sum(sitting.warm_up.steady for sitting in sittings) > len(sittings) / 2,
        median_ms=_digits(percentile(times, 50)),
        median_ci95=_rounded(median_interval(blocks)),
        p90_ms=_digits(percentile(times, 90)),
        p95_ms=_digits(percentile(times, 95)),
        p99_ms=_digits(percentile(times, 99)),
        max_ms=_digits(float(times.max())),
        runs=len(times),
        processes=len(sittings),
        blocks=tuple(tuple(_digits(turn.median) for turn in sitting.turns) for sitting in sittings),
    )


def _memory(sittings: Sequence[Sitting]) -> Memory | None:
    """Return the memory of the processes, None where the system does not tell it."""
    loaded = [sitting.loading.resident_mb for sitting in sittings]
    steady = [sitting.turns[-1].block.resident_mb for sitting in sittings]
    peaks = [sitting.turns[-1].block.peak_mb for sitting in sittings]
    if None in loaded or None in steady or None in peaks:
        return None
    courses = []
    for sitting in sittings:
        runs = np.cumsum([turn.all_runs for turn in sitting.turns]) / 1000
        courses.append((runs, np.array([turn.block.resident_mb for turn in sitting.turns], np.float64)))
    return Memory(
        peak=round(max(peak for peak in peaks if peak is not None), 1),
        loaded=round(median(value for value in loaded if value is not None), 1),
        steady=round(median(value for value in steady if value is not None), 1),
        slope=round(theil_sen(courses) or 0.0, 3),
    )


def _ratio(contender: Contender) -> Ratio | None:
    base = contender.base
    if base is None or base is contender:
        return None
    ratios = paired_ratios(contender, base)
    if not ratios:
        return None
    values = [value for process in ratios for value in process]
    return Ratio(
        base=str(base.task.path),
        median=_digits(median(values)),
        ci95=_rounded(median_interval(_as_blocks(ratios))),
        lowest=_digits(min(values)),
        highest=_digits(max(values)),
    )


def _yardstick(contender: Contender) -> Yardstick | None:
    yardstick = contender.yardstick
    ratios = paired_ratios(contender, yardstick) if yardstick is not None else []
    if yardstick is None or not ratios:
        return None
    times = np.concatenate([turn.latencies for turn in yardstick.turns])
    return Yardstick(
        sha256=_yardstick_sha256(),
        median_ms=_digits(percentile(times, 50)),
        ratio=_digits(median(value for process in ratios for value in process)),
        ratio_ci95=_rounded(median_interval(_as_blocks(ratios))),
        blocks=tuple(tuple(_digits(value) for value in process) for process in ratios),
    )


def paired_ratios(this: Contender, other: Contender) -> list[list[float]]:
    """Return the ratio of this one's block to the other's of the same round, by process."""
    theirs = {
        (sitting.process, turn.round): turn.median for sitting in other.sittings for turn in sitting.turns
    }
    ratios = [
        [
            turn.median / theirs[sitting.process, turn.round]
            for turn in sitting.turns
            if (sitting.process, turn.round) in theirs
        ]
        for sitting in this.sittings
    ]
    return [process for process in ratios if process]


def _unsteady(contender: Contender, latency: Latency) -> list[Caveat]:
    found = []
    if not latency.steady:
        runs = latency.warm_up_runs
        text = (
            f"The time had not come to rest after {runs} runs of warm-up: measure again, or longer (--soak)"
        )
        found.append(Caveat("unsteady", text, float(runs)))
    change = drift([turn.median for turn in contender.turns])
    if change is not None:
        verb = "rose" if change > 0 else "fell"
        text = f"The time {verb} by {abs(change):.0%} while it was measured: --soak shows where it leads"
        found.append(Caveat("unsteady", text, _digits(change)))
    return found


def _remarks(contender: Contender) -> list[str]:
    found = [remark for sitting in contender.sittings for remark in sitting.loading.remarks]
    for name, other in (("The base", contender.base), ("The yardstick", contender.yardstick)):
        if other is not None and other.failure is not None:
            found.append(f"{name} failed, so that there are no or fewer ratios to it: {other.failure}")
    if contender.soak_failure is not None:
        found.append(f"The soak ended early: {contender.soak_failure}")
    return found


def _as_blocks(ratios: Sequence[Sequence[float]]) -> Blocks:
    return [[np.array([ratio]) for ratio in process] for process in ratios]


def _rounded(interval: Interval) -> Interval:
    low, high = interval
    return _digits(low), _digits(high)


def _digits(value: float) -> float:
    """Return six significant digits: models may take microseconds."""
    return float(f"{value:.6g}")


@cache
def _yardstick_sha256() -> str:
    return hashlib.sha256(DEFAULT_MODEL.read_bytes()).hexdigest()
