"""Proportions against published examples, simulations, and SciPy, which is not there on a device."""

from __future__ import annotations

import numpy as np
import pytest
from edge_classify.edge.statistics.proportions import (
    binomial_tail,
    f1_interval,
    two_proportions_p,
    wilson_interval,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

COUNTS = st.integers(0, 1500)
# Successes and trials.
RATES = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
SAMPLES = 400


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # R. G. Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3 (score, no correction).
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_of_published_examples_matches(
    successes: int, trials: int, low: float, high: float
) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_rate_and_mirrors(pair: tuple[int, int]) -> None:
    successes, trials = pair
    low, high = wilson_interval(successes, trials)
    assert 0 <= low <= successes / trials + 1e-12 and successes / trials - 1e-12 <= high <= 1
    assert high - low > 0
    mirrored = wilson_interval(trials - successes, trials)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_wilson_interval_without_trials_says_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_f1_interval_of_a_class_holds_the_true_value_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    right, missed, wrongly = 0.09, 0.01, 0.005  # Shares of all images.
    true = 2 * right / (2 * right + missed + wrongly)
    held = 0
    for hits, misses, others, _ in rng.multinomial(200, [right, missed, wrongly, 0.895], SAMPLES):
        low, high = f1_interval(int(hits), int(hits + misses), int(hits + others))
        held += low <= true <= high
    assert 0.92 <= held / SAMPLES <= 0.99


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_f1_interval_of_any_counts_holds_the_measured_value(hits: int, misses: int, others: int) -> None:
    low, high = f1_interval(hits, hits + misses, hits + others)
    f1 = 2 * hits / max(1, 2 * hits + misses + others)
    assert 0 <= low <= f1 + 1e-12 and f1 - 1e-12 <= high <= 1 and low < high


@given(RATES, RATES)
def test_test_of_two_rates_is_pearsons(one: tuple[int, int], other: tuple[int, int]) -> None:
    table = [[right, images - right] for right, images in (one, other)]
    found = two_proportions_p((one[0], other[0]), (one[1], other[1]))
    if 0 in (one[0] + other[0], table[0][1] + table[1][1]):
        assert found == 1.0
    else:
        expected = stats.chi2_contingency(table, correction=False).pvalue
        assert found == pytest.approx(expected, abs=1e-9)


@given(COUNTS, COUNTS, st.floats(0, 1))
def test_binomial_tail_is_the_distribution_function(successes: int, trials: int, rate: float) -> None:
    expected = float(stats.binom.cdf(successes, trials, rate)) if successes < trials else 1.0
    assert binomial_tail(successes, trials, rate) == pytest.approx(expected, rel=1e-6, abs=1e-12)
