"""Warm-up and drift, on series that are made up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from edge_classify.benchmarks.measuring.messages import WarmUp
from edge_classify.benchmarks.measuring.steadiness import WINDOW_MS, WINDOWS, drift, warm_up
from hypothesis import given
from hypothesis import strategies as st


class Model:
    """A model whose runs take what `times` says, ms, on a clock of its own."""

    def __init__(self, times: Iterator[float]) -> None:
        self._times = times
        self.seconds = 0.0
        self.runs = 0

    def run(self) -> None:
        self.seconds += next(self._times) / 1000
        self.runs += 1

    def warm_up(self, patience_s: float = 2.0) -> WarmUp:
        return warm_up(self.run, patience_s, lambda: self.seconds)


def endless(time_of: Callable[[int], float]) -> Iterator[float]:
    number = 0
    while True:
        yield time_of(number)
        number += 1


def noise(number: int) -> float:
    """A tail to the right: most runs a little longer, one in ten twice as long."""
    rng = np.random.default_rng(number)
    return float(rng.exponential(0.01) + (rng.random() < 0.1))


def test_warm_up_of_a_steady_model_takes_the_fewest_windows() -> None:
    found = Model(endless(lambda number: 5 * (1 + noise(number)))).warm_up()
    assert found.steady
    assert found.run_ms == pytest.approx(5, rel=0.03)
    assert found.runs <= WINDOWS * WINDOW_MS / 5 + WINDOWS


def test_warm_up_of_a_model_that_gets_faster_lasts_until_it_is_fast() -> None:
    """As when a processor raises its clock: from 10 ms to 5, by a tenth of the rest with each run."""
    found = Model(endless(lambda number: 5 + 5 * 0.9**number + noise(number) / 10)).warm_up()
    assert found.steady
    assert found.run_ms == pytest.approx(5, rel=0.05)


def test_warm_up_over_a_step_goes_on_until_it_lies_behind() -> None:
    model = Model(endless(lambda number: 8.0 if number < 20 else 4.0))
    found = model.warm_up()
    assert found.steady
    assert found.run_ms == pytest.approx(4)
    assert found.runs >= 20 + (WINDOWS - 1) * WINDOW_MS / 4


def test_warm_up_of_a_model_that_gets_slower_all_the_time_never_ends_steady() -> None:
    found = Model(endless(lambda number: 5 * 1.005**number)).warm_up(patience_s=1)
    assert not found.steady


def test_warm_up_of_a_restless_model_ends_with_patience() -> None:
    model = Model(endless(lambda number: 5.0 if number // 10 % 2 else 10.0))
    found = model.warm_up(patience_s=1)
    assert not found.steady
    assert model.seconds == pytest.approx(1, abs=0.05)


def test_warm_up_of_a_slow_model_is_two_runs() -> None:
    found = Model(endless(lambda number: 4000 * (1 + 0.01 * (number % 2)))).warm_up(patience_s=1)
    assert (found.runs, found.steady) == (2, True)


@given(st.lists(st.floats(0.5, 1000), min_size=1, max_size=50), st.floats(0, 3))
def test_warm_up_of_any_model_ends_and_counts_its_runs(times: list[float], patience_s: float) -> None:
    model = Model(endless(lambda number: times[number % len(times)]))
    found = model.warm_up(patience_s)
    assert found.runs == model.runs
    assert model.seconds <= patience_s + 2 * max(times) / 1000 + 1e-9


def test_drift_of_a_model_that_slows_down_is_its_share() -> None:
    medians = [10 * (1 + 0.2 * number / 29) for number in range(30)]
    assert drift(medians) == pytest.approx(0.13, abs=0.02)


@pytest.mark.parametrize("spread", [0.0, 0.01, 0.1])
def test_drift_of_blocks_without_a_trend_is_none(spread: float) -> None:
    series = [np.random.default_rng(seed).normal(10, 10 * spread, 30).tolist() for seed in range(200)]
    alarms = sum(drift(medians) is not None for medians in series)
    assert alarms <= 4


def test_drift_of_a_trend_too_small_to_matter_is_none() -> None:
    assert drift([10 + 0.01 * number for number in range(30)]) is None


def test_drift_of_few_blocks_is_none() -> None:
    assert drift([1.0, 2.0, 3.0, 4.0]) is None
