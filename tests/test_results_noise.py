from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from edge_classify.benchmarks.results.noise import Level, Levels, estimate_change, judge_latency
from edge_classify.benchmarks.results.result import Result, Yardstick
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from .support import benchmark_results

BLOCKS = 12


def _times(rng: np.random.Generator, base: float, bursts: float) -> NDArray[np.float64]:
    """One process's blocks: 1.5 % of noise, and stretches in which somebody else takes 5 % and more."""
    others = np.zeros(BLOCKS, bool)
    busy = rng.random() < bursts
    for number in range(BLOCKS):
        busy = rng.random() < (0.6 if busy else bursts * 0.4 / (1 - bursts))
        others[number] = busy
    taken = others * np.minimum(rng.pareto(2.0, BLOCKS) * 0.05, 1.0)
    return np.asarray(base * np.exp(rng.normal(0, 0.015, BLOCKS) + taken))


def _run(
    rng: np.random.Generator,
    factor: float = 1.0,
    spread: float = 0.01,
    processes: int = 3,
    bursts: float = 0.1,
) -> Result:
    """A run on a machine that is up to some 10 % faster or slower than yesterday.

    `spread` is the standard deviation between processes; whole runs differ by another 0.5 %.
    """
    machine = math.exp(rng.normal(0, 0.05))
    model = 20.0 * factor * machine * math.exp(rng.normal(0, 0.005))
    blocks, ratios = [], []
    for _ in range(processes):
        own = _times(rng, model * math.exp(rng.normal(0, spread)), bursts)
        yardstick = _times(rng, 9.0 * machine * math.exp(rng.normal(0, spread / 2)), bursts)
        blocks.append(tuple(own.tolist()))
        ratios.append(tuple((own / yardstick).tolist()))
    beside = Yardstick("f" * 64, 9.0, 2.2, (2.1, 2.3), tuple(ratios))
    return benchmark_results.result(
        median_ms=float(np.median(blocks)), blocks=tuple(blocks), yardstick=beside, processes=processes
    )


def _slower(rng: np.random.Generator, runs: int, factor: float, **noise: Any) -> int:
    """Count the runs, each compared with a baseline of its own, that are called slower by more than 5 %."""
    pairs = ((_run(rng, **noise), _run(rng, factor, **noise)) for _ in range(runs))
    return sum(judge_latency([before], [after], 0.05).verdict == "slower" for before, after in pairs)


# Ten runs without an alarm in 99 of 100 cases: less than one alarm in a thousand runs. Offsets of 2 % between
# processes need more than three of them.
@pytest.mark.parametrize(
    "noise", [{"spread": 0.01}, {"spread": 0.01, "bursts": 0.3}, {"spread": 0.02, "processes": 6}]
)
def test_unchanged_model_measured_again_raises_no_alarm_and_ten_percent_are_caught(
    noise: dict[str, Any],
) -> None:
    assert _slower(np.random.default_rng(1), 600, 1.0, **noise) <= 1
    assert _slower(np.random.default_rng(2), 600, 1.1, **noise) >= 594


def test_offsets_of_three_percent_between_three_processes_rather_miss_than_alarm() -> None:
    assert _slower(np.random.default_rng(3), 300, 1.0, spread=0.03) <= 6
    assert 180 <= _slower(np.random.default_rng(4), 300, 1.1, spread=0.03) < 297


@pytest.mark.parametrize("spread", [0.005, 0.01, 0.02])
def test_interval_of_an_unchanged_model_holds_no_change_in_19_of_20_cases(spread: float) -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(600):
        sides = [Levels(_levels(rng.normal(rng.normal(0, 0.005), spread, 3))) for _ in range(2)]
        low, high = estimate_change(*sides).ci95
        held += low < 0 < high
    assert held >= 0.9 * 600


def test_change_of_many_processes_is_that_of_the_t_test() -> None:
    rng = np.random.default_rng(6)
    before, after = rng.normal(0, 0.2, 400), rng.normal(0.05, 0.2, 400)
    found = estimate_change(Levels(_levels(before), runs=1000), Levels(_levels(after), runs=1000))
    reference = stats.ttest_ind(after, before)
    interval = reference.confidence_interval(0.95)
    assert found.change == pytest.approx(math.expm1(after.mean() - before.mean()))
    assert found.ci95 == pytest.approx((math.expm1(interval.low), math.expm1(interval.high)), abs=1e-3)
    assert found.p_value == pytest.approx(reference.pvalue, rel=0.15)


def test_blocks_that_scatter_widen_the_interval_though_processes_happen_to_agree() -> None:
    wide, narrow = (
        estimate_change(Levels(levels), Levels(levels)).ci95
        for levels in ((Level(0.0, 0.05**2),) * 3, (Level(0.0, 0.0),) * 3)
    )
    assert wide[1] > 2 * narrow[1] > 0


def test_single_process_of_a_single_block_has_an_interval_too() -> None:
    one = Levels((Level(math.log(3.0), 0.0),))
    low, high = estimate_change(one, one).ci95
    assert -0.1 < low < -0.02 and 0.02 < high < 0.1


LOGS = st.lists(st.floats(-3, 3), min_size=1, max_size=6)


@given(LOGS, LOGS)
def test_looking_from_the_other_side_turns_the_change_round(before: list[float], after: list[float]) -> None:
    there = estimate_change(Levels(_levels(before)), Levels(_levels(after)))
    back = estimate_change(Levels(_levels(after)), Levels(_levels(before)))
    assert (1 + there.change) * (1 + back.change) == pytest.approx(1)
    assert there.p_value == pytest.approx(back.p_value)
    assert there.ci95[0] <= there.change <= there.ci95[1]


def test_time_of_which_others_only_add_is_taken_from_the_quieter_blocks() -> None:
    quiet = benchmark_results.result(yardstick=None, blocks=((10.0,) * 12,) * 3)
    burst = benchmark_results.result(yardstick=None, blocks=((10.0,) * 5 + (25.0,) * 7,) * 3)
    assert judge_latency([quiet], [burst], 0.05).change == pytest.approx(0, abs=1e-9)


def test_yardstick_that_was_missing_in_a_round_is_compared_by_ratios() -> None:
    whole = benchmark_results.result(median_ms=20.0)
    assert whole.yardstick is not None
    cut = tuple(process[:-1] for process in whole.yardstick.blocks)
    part = replace(whole, yardstick=replace(whole.yardstick, blocks=cut))
    found = judge_latency([whole], [part], 0.05)
    assert found.basis == "yardstick" and found.change == pytest.approx(0, abs=0.005)


def _levels(logs: Any) -> tuple[Level, ...]:
    return tuple(Level(float(log), 0.0) for log in logs)
