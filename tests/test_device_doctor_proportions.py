"""edge/proportions.py against SciPy, which isn't there on a device."""

from __future__ import annotations

import pytest
from edge_classify.edge.proportions import binomial_tail, mcnemar_p
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

COUNTS = st.integers(0, 1500)


@given(COUNTS, COUNTS)
def test_mcnemar_p_is_the_exact_binomial_test_with_a_half(only_a: int, only_b: int) -> None:
    trials = only_a + only_b
    expected = stats.binomtest(only_a, trials).pvalue if trials else 1.0
    assert mcnemar_p(only_a, only_b) == pytest.approx(expected, rel=1e-9)


@given(COUNTS, COUNTS, st.floats(0, 1))
def test_binomial_tail_is_the_distribution_function(successes: int, trials: int, rate: float) -> None:
    expected = float(stats.binom.cdf(successes, trials, rate)) if successes < trials else 1.0
    assert binomial_tail(successes, trials, rate) == pytest.approx(expected, rel=1e-6, abs=1e-12)
