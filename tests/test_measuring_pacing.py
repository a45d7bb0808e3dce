"""How many runs a block has, and when there are enough; figures of made-up times."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from edge_classify.benchmarks.measuring.messages import Block, Loading, WarmUp
from edge_classify.benchmarks.measuring.pacing import (
    BLOCK_MS,
    BLOCK_RUNS,
    MAX_SECONDS,
    MIN_BLOCKS,
    MIN_RUNS,
    SLOW_RUNS,
    Exactly,
    UntilKnown,
    runs_a_block,
)
from edge_classify.benchmarks.measuring.plan import ModelRun
from edge_classify.benchmarks.measuring.records import Measurement, ProcessRun, Turn
from edge_classify.benchmarks.measuring.summary import paired_ratios, summarize
from edge_classify.benchmarks.measuring.yardstick import yardstick_model
from edge_classify.benchmarks.results.result import Result
from edge_classify.benchmarks.surroundings.snapshot import Snapshot
from edge_classify.benchmarks.surroundings.watch import Watch
from edge_classify.edge.runtime import Execution
from hypothesis import given
from hypothesis import strategies as st

from .support.benchmark_results import ORIGIN, PI

Times = Callable[[int], Sequence[float]]
SPAN = Snapshot(0.0), Snapshot(1.0)


def measurement() -> Measurement:
    return Measurement(ModelRun(yardstick_model(), Execution()), runtime="ai-edge-litert 2.0.0")


def summary(model: Measurement) -> Result:
    found = summarize(model, Watch(), PI, ORIGIN)
    assert isinstance(found, Result)
    return found


def begin_process(model: Measurement, process: int, run_ms: float) -> ProcessRun:
    process_run = ProcessRun(process, Loading(10.0, 5.0, 50.0, ()), WarmUp(20, True, run_ms))
    model.process_runs.append(process_run)
    return process_run


def take_turn(process_run: ProcessRun, latencies: Sequence[float], resident_mb: float | None = 60.0) -> None:
    block = Block(tuple(latencies), 2, resident_mb, 70.0)
    process_run.turns.append(Turn(len(process_run.turns), block, SPAN))


def timed(
    model: Measurement, pace: UntilKnown | Exactly, processes: int, run_ms: float, times: Times
) -> None:
    """Let a model take turns alone."""
    for process in range(processes):
        process_run = begin_process(model, process, run_ms)
        pace.begin([process_run])
        while pace.wants_more(model):
            take_turn(process_run, times(pace.next_runs(model)))


@given(st.integers(1, 3000), st.integers(1, 4), st.floats(0.001, 3000))
def test_exact_runs_are_shared_out_without_rest(runs: int, processes: int, run_ms: float) -> None:
    processes = min(runs, processes)
    model = measurement()
    timed(model, Exactly(runs, processes), processes, run_ms, lambda count: [run_ms] * count)
    counts = [process_run.runs for process_run in model.process_runs]
    assert sum(counts) == runs
    assert max(counts) - min(counts) <= 1


def test_exact_runs_of_fast_and_slow_models_are_in_as_many_rounds() -> None:
    pace, fast, slow = Exactly(100, 1), measurement(), measurement()
    process_runs = [begin_process(fast, 0, 0.5), begin_process(slow, 0, 50)]
    pace.begin(process_runs)
    while pace.wants_more(fast) or pace.wants_more(slow):
        for model, process_run in zip((fast, slow), process_runs, strict=True):
            take_turn(process_run, [1.0] * pace.next_runs(model))
    assert len(fast.turns) == len(slow.turns) == 100 // BLOCK_RUNS


@given(st.floats(0.0, 1e5))
def test_blocks_are_short_and_have_some_runs(run_ms: float) -> None:
    runs = runs_a_block(run_ms)
    assert runs >= SLOW_RUNS
    assert runs <= BLOCK_RUNS or runs * run_ms <= BLOCK_MS + run_ms


def test_steady_model_is_timed_no_longer_than_needed() -> None:
    model = measurement()
    rng = np.random.default_rng(0)
    timed(model, UntilKnown(3), 3, 5, lambda count: rng.normal(5, 0.1, count).tolist())
    assert [len(process_run.turns) for process_run in model.process_runs] == [MIN_BLOCKS] * 3
    assert sum(process_run.runs for process_run in model.process_runs) >= MIN_RUNS


def test_restless_model_is_timed_until_the_time_is_used_up() -> None:
    model = measurement()
    rng = np.random.default_rng(0)
    timed(model, UntilKnown(3), 3, 5, lambda count: [5 * rng.lognormal(0, 0.5)] * count)
    assert sum(process_run.seconds for process_run in model.process_runs) == pytest.approx(
        MAX_SECONDS, rel=0.2
    )
    assert len({round(process_run.seconds) for process_run in model.process_runs}) == 1


def test_very_slow_model_has_one_block_in_each_process() -> None:
    model = measurement()
    timed(model, UntilKnown(3), 3, 4000, lambda count: [4000.0] * count)
    assert [process_run.runs for process_run in model.process_runs] == [SLOW_RUNS] * 3


@given(st.lists(st.lists(st.lists(st.floats(0.01, 1e5), min_size=1, max_size=9), min_size=1, max_size=5),
                min_size=1, max_size=4))  # fmt: skip
def test_figures_of_any_times_are_in_order_and_of_all_of_them(times: list[list[list[float]]]) -> None:
    model = measurement()
    for process, blocks in enumerate(times):
        process_run = begin_process(model, process, 1.0)
        for block in blocks:
            take_turn(process_run, block)
    found = summary(model)
    latency = found.latency
    every = [value for process in times for block in process for value in block]
    assert latency.runs == len(every)
    assert latency.max_ms == pytest.approx(max(every), rel=1e-5)
    assert latency.median_ms == pytest.approx(np.median(every), rel=1e-5)
    assert latency.median_ms <= latency.p90_ms <= latency.p95_ms <= latency.p99_ms <= latency.max_ms


def test_ratios_pair_blocks_of_the_same_process_and_round() -> None:
    base, other = measurement(), measurement()
    for process, pairs in enumerate([[(2, 4), (10, 30)], [(1, 1)]]):
        process_runs = begin_process(base, process, 1.0), begin_process(other, process, 1.0)
        for pair in pairs:
            for process_run, value in zip(process_runs, pair, strict=True):
                take_turn(process_run, [float(value)] * 3)
    take_turn(other.process_runs[-1], [9.0])  # The base had used up its time.
    assert paired_ratios(other, base) == [[2.0, 3.0], [1.0]]


def test_memory_that_grows_with_every_run_has_its_slope() -> None:
    model = measurement()
    for process in range(2):
        process_run = begin_process(model, process, 1.0)
        for number in range(6):
            # 100 runs and 2 uncounted ones a block, 0.5 MB for each 1,000 runs.
            take_turn(process_run, [1.0] * 100, 60 + 0.5 * 102 * (number + 1) / 1000)
    found = summary(model)
    assert found.memory is not None
    assert found.memory.slope == pytest.approx(0.5, abs=1e-3)
    assert (found.memory.peak, found.memory.loaded) == (70.0, 50.0)


def test_memory_that_the_system_does_not_tell_is_left_out() -> None:
    model = measurement()
    take_turn(begin_process(model, 0, 1.0), [1.0, 2.0], None)
    found = summary(model)
    assert found.memory is None


def test_model_that_never_came_to_rest_or_slows_down_has_a_caveat_with_the_figure() -> None:
    model = measurement()
    model.process_runs.append(ProcessRun(0, Loading(10.0, 5.0, 50.0, ()), WarmUp(321, False, 5.0)))
    for number in range(20):
        take_turn(model.process_runs[0], [5 + 0.1 * number] * 5)
    found = summary(model)
    assert not found.latency.steady
    texts = [caveat.text for caveat in found.conditions.warnings if caveat.kind == "unsteady"]
    assert len(texts) == 2
    assert "321 warm-up runs" in texts[0] and "rose by 2" in texts[1]
