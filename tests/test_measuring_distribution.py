"""Intervals against scipy's and by simulation; slopes against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from edge_classify.benchmarks.measuring.distribution import median_interval, percentile, theil_sen
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

Values = np.ndarray[tuple[int], np.dtype[np.float64]]


def latencies(blocks: int, runs: int, seed: int, between: float = 0.0) -> list[Values]:
    """Blocks of times whose median is 1: a tail to the right, and levels that differ by block."""
    rng = np.random.default_rng(seed)
    levels = 1 + rng.normal(0, between, blocks)
    return [level + rng.exponential(0.03, runs) - 0.03 * np.log(2) for level in levels]


def test_interval_of_independent_values_is_the_one_of_scipys_bootstrap() -> None:
    values = np.random.default_rng(3).gamma(2, 1, 1001)
    found = median_interval([[np.array([value]) for value in values]], samples=4_000)
    theirs = stats.bootstrap((values,), np.median, n_resamples=4_000, method="percentile", rng=1)
    interval = theirs.confidence_interval
    assert found == pytest.approx((interval.low, interval.high), rel=0.01)


@pytest.mark.parametrize(
    ("by_block", "by_process", "least"), [(0.0, 0.0, 0.93), (0.01, 0.0, 0.93), (0.01, 0.005, 0.88)]
)
def test_interval_of_five_processes_holds_the_median_about_as_often_as_it_says(
    by_block: float, by_process: float, least: float
) -> None:
    rng = np.random.default_rng(7)
    hits = 0
    for trial in range(200):
        shifts = rng.normal(0, by_process, 5)
        processes = [
            [block + shift for block in latencies(6, 15, 10 * trial + number, by_block)]
            for number, shift in enumerate(shifts)
        ]
        low, high = median_interval(processes, samples=200)
        hits += low <= 1 <= high
    assert hits / 200 >= least


def test_interval_is_wider_than_one_that_takes_runs_as_independent_where_blocks_differ() -> None:
    blocks = latencies(15, 100, 0, between=0.02)
    low, high = median_interval([blocks])
    runs = np.concatenate(blocks)
    naive_low, naive_high = median_interval([[runs[index : index + 1] for index in range(len(runs))]])
    assert high - low > 3 * (naive_high - naive_low)


@given(st.lists(st.lists(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=8), min_size=1, max_size=5),
                min_size=1, max_size=4))  # fmt: skip
def test_interval_of_any_values_is_the_same_again(
    nested: list[list[list[float]]],
) -> None:
    blocks = [[np.array(block) for block in process] for process in nested]
    low, high = median_interval(blocks, samples=50)
    assert (low, high) == median_interval(blocks, samples=50)
    assert low <= high


def test_interval_of_a_single_block_is_the_one_of_its_values() -> None:
    (block,) = latencies(1, 200, 0)
    assert median_interval([[block]]) == median_interval([[np.array([value]) for value in block]])


def test_interval_of_very_many_values_is_about_the_one_of_all() -> None:
    blocks = latencies(20, 5_000, 0, between=0.01)
    low, high = median_interval([blocks], samples=400)
    few_low, few_high = median_interval([[np.sort(block)[::10] for block in blocks]], samples=400)
    assert (low, high) == pytest.approx((few_low, few_high), abs=2e-3)
    assert high - low > 2e-3


@pytest.mark.parametrize("blocks", [[], [[]], [[np.empty(0)]]])
def test_interval_of_nothing_is_refused(blocks: list[list[Values]]) -> None:
    with pytest.raises(ValueError, match="without"):
        median_interval(blocks)


@given(st.lists(st.floats(0, 100), min_size=2, max_size=30), st.integers(0, 2**32 - 1))
def test_slope_of_one_series_is_the_one_of_scipys_theilslopes(y: list[float], seed: int) -> None:
    x = np.cumsum(np.random.default_rng(seed).uniform(0.1, 2, len(y)))
    assert theil_sen([(x, np.array(y))]) == pytest.approx(stats.theilslopes(y, x).slope, abs=1e-9)


def test_slope_over_several_processes_ignores_what_lies_between_them() -> None:
    x = np.arange(5.0)
    assert theil_sen([(x, 100 + 2 * x), (x, 500 + 2 * x)]) == pytest.approx(2)


def test_slope_of_single_points_is_not_known() -> None:
    assert theil_sen([(np.array([1.0]), np.array([2.0]))]) is None


@pytest.mark.parametrize(("percent", "expected"), [(50, 25.0), (95, 38.5), (0, 10.0), (100, 40.0)])
def test_percentile_between_two_values_is_interpolated(percent: float, expected: float) -> None:
    # By hand: rank 0.95 * 3 = 2.85, so 30 + 0.85 * 10.
    assert percentile(np.array([40.0, 10.0, 30.0, 20.0]), percent) == pytest.approx(expected)
