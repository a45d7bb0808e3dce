"""The figures of each model, from what was recorded of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from ..host import Host
from ..results.result import (
    Caveat,
    Failure,
    Interval,
    Latency,
    Memory,
    Origin,
    Ratio,
    Result,
    Subject,
    Yardstick,
)
from ..surroundings.watch import Watch
from .distribution import Blocks, median_interval, percentile, theil_sen
from .plan import ModelRun
from .records import Measurement, ProcessRun
from .soak import summarize_soak
from .steadiness import drift


def summarize(measurement: Measurement, watch: Watch, host: Host, origin: Origin) -> Result | Failure | None:
    """Return the figures of a model, or why it failed; None where it neither failed nor had a turn yet."""
    model_run = measurement.model_run
    if measurement.failure is not None:
        return Failure.of(model_run.path, model_run.execution, measurement.failure, host, origin)
    if not measurement.turns:
        return None
    spans = [turn.span for turn in measurement.turns]
    # Ctrl-C may have come before the first turn of the last process.
    process_runs = [process_run for process_run in measurement.process_runs if process_run.turns]
    latency = _latency(process_runs)
    conditions = watch.conditions(spans)
    return Result(
        subject=_subject(model_run, measurement.runtime),
        latency=latency,
        memory=_memory(process_runs),
        energy=watch.energy(spans, sum(turn.all_runs for turn in measurement.turns)),
        conditions=replace(conditions, warnings=(*conditions.warnings, *_unsteady(measurement, latency))),
        host=host,
        origin=origin,
        ratio=_ratio(measurement),
        yardstick=_yardstick(measurement),
        soak=summarize_soak(measurement.soak),
        remarks=tuple(dict.fromkeys(_remarks(measurement))),
        execution=model_run.execution,
    )


def paired_ratios(this: Measurement, other: Measurement) -> list[list[float]]:
    """Return the ratios of the blocks of `this` to those of `other` of the same round, by process."""
    theirs = {
        (process_run.process, turn.round): turn.median
        for process_run in other.process_runs
        for turn in process_run.turns
    }
    ratios = [
        [
            turn.median / theirs[process_run.process, turn.round]
            for turn in process_run.turns
            if (process_run.process, turn.round) in theirs
        ]
        for process_run in this.process_runs
    ]
    return [process for process in ratios if process]


def _subject(model_run: ModelRun, runtime: str) -> Subject:
    model, execution = model_run.model, model_run.execution
    return Subject(
        file=str(model.path),
        sha256=model.sha256,
        size_bytes=model.size_bytes,
        variant=model.variant,
        threads=execution.threads,
        runtime=runtime,
        delegate=execution.delegate,
    )


def _latency(process_runs: Sequence[ProcessRun]) -> Latency:
    blocks = [[turn.latencies for turn in process_run.turns] for process_run in process_runs]
    times = np.concatenate([block for process in blocks for block in process])
    return Latency(
        load_ms=round(median(each.loading.load_ms for each in process_runs), 3),
        first_ms=round(median(each.loading.first_ms for each in process_runs), 3),
        warm_up_runs=max(each.warm_up.runs for each in process_runs),
        steady=sum(each.warm_up.steady for each in process_runs) > len(process_runs) / 2,
        median_ms=_digits(percentile(times, 50)),
        median_ci95=_rounded(median_interval(blocks)),
        p90_ms=_digits(percentile(times, 90)),
        p95_ms=_digits(percentile(times, 95)),
        p99_ms=_digits(percentile(times, 99)),
        max_ms=_digits(float(times.max())),
        runs=len(times),
        processes=len(process_runs),
        blocks=tuple(tuple(_digits(turn.median) for turn in each.turns) for each in process_runs),
    )


def _memory(process_runs: Sequence[ProcessRun]) -> Memory | None:
    """Return the memory of the processes, None where the system does not report it."""
    loaded = [each.loading.resident_mb for each in process_runs]
    steady = [each.turns[-1].block.resident_mb for each in process_runs]
    peaks = [each.turns[-1].block.peak_mb for each in process_runs]
    if None in loaded or None in steady or None in peaks:
        return None
    courses = []
    for each in process_runs:
        runs = np.cumsum([turn.all_runs for turn in each.turns]) / 1000
        courses.append((runs, np.array([turn.block.resident_mb for turn in each.turns], np.float64)))
    return Memory(
        peak=round(max(peak for peak in peaks if peak is not None), 1),
        loaded=round(median(value for value in loaded if value is not None), 1),
        steady=round(median(value for value in steady if value is not None), 1),
        slope=round(theil_sen(courses) or 0.0, 3),
    )


def _ratio(measurement: Measurement) -> Ratio | None:
    base = measurement.base
    if base is None or base is measurement:
        return None
    ratios = paired_ratios(measurement, base)
    if not ratios:
        return None
    values = [value for process in ratios for value in process]
    return Ratio(
        base=str(base.model_run.path),
        median=_digits(median(values)),
        ci95=_rounded(median_interval(_as_blocks(ratios))),
        lowest=_digits(min(values)),
        highest=_digits(max(values)),
    )


def _yardstick(measurement: Measurement) -> Yardstick | None:
    yardstick = measurement.yardstick
    ratios = paired_ratios(measurement, yardstick) if yardstick is not None else []
    if yardstick is None or not ratios:
        return None
    times = np.concatenate([turn.latencies for turn in yardstick.turns])
    return Yardstick(
        sha256=yardstick.model_run.model.sha256,
        median_ms=_digits(percentile(times, 50)),
        ratio=_digits(median(value for process in ratios for value in process)),
        ratio_ci95=_rounded(median_interval(_as_blocks(ratios))),
        blocks=tuple(tuple(_digits(value) for value in process) for process in ratios),
    )


def _unsteady(measurement: Measurement, latency: Latency) -> list[Caveat]:
    found = []
    if not latency.steady:
        runs = latency.warm_up_runs
        text = f"The time was not steady after {runs} warm-up runs: measure again, or longer (--soak)"
        found.append(Caveat("unsteady", text, float(runs)))
    change = drift([turn.median for turn in measurement.turns])
    if change is not None:
        verb = "rose" if change > 0 else "fell"
        text = f"The time {verb} by {abs(change):.0%} while it was measured: --soak shows where it leads"
        found.append(Caveat("unsteady", text, _digits(change)))
    return found


def _remarks(measurement: Measurement) -> list[str]:
    found = [remark for each in measurement.process_runs for remark in each.loading.remarks]
    for name, other in (("The base", measurement.base), ("The yardstick", measurement.yardstick)):
        if other is not None and other.failure is not None:
            found.append(f"{name} failed, so that there are no or fewer ratios to it: {other.failure}")
    if measurement.soak_failure is not None:
        found.append(f"The soak ended early: {measurement.soak_failure}")
    return found


def _as_blocks(ratios: Sequence[Sequence[float]]) -> Blocks:
    return [[np.array([ratio]) for ratio in process] for process in ratios]


def _rounded(interval: Interval) -> Interval:
    low, high = interval
    return _digits(low), _digits(high)


def _digits(value: float) -> float:
    """Return six significant digits: some models take microseconds."""
    return float(f"{value:.6g}")
