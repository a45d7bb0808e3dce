"""McNemar's test against a published example and SciPy, and how p-values are put into words."""

from __future__ import annotations

import numpy as np
import pytest
from edge_classify.edge.statistics.paired import (
    SIGNIFICANT,
    describe_difference,
    describe_p,
    mcnemar,
    mcnemar_p,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

COUNTS = st.integers(0, 1500)


@given(COUNTS, COUNTS)
def test_mcnemar_p_is_the_exact_binomial_test_with_a_half(only_a: int, only_b: int) -> None:
    trials = only_a + only_b
    expected = stats.binomtest(only_a, trials).pvalue if trials else 1.0
    assert mcnemar_p(only_a, only_b) == pytest.approx(expected, rel=1e-9)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 50), st.integers(0, 50))
def test_paired_test_of_any_answers_equals_scipys_exact_binomial(
    only_a: int, only_b: int, both: int, none: int
) -> None:
    counts = (only_a, only_b, both, none)
    found = mcnemar(
        np.repeat([True, False, True, False], counts), np.repeat([False, True, True, False], counts)
    )
    trials = only_a + only_b
    expected = stats.binomtest(only_a, trials).pvalue if trials else 1.0
    assert (found.only_a, found.only_b) == (only_a, only_b)
    assert found.p_value == pytest.approx(expected, rel=1e-9)


def test_paired_test_of_published_example_matches() -> None:
    # A. Agresti, An Introduction to Categorical Data Analysis, 2nd ed. (2007), section 8.1: 132 and 107
    # discordant pairs; by the normal approximation p = 0.106, and the exact value is near it.
    a = np.repeat([True, False], (132, 107))
    assert mcnemar(a, ~a).p_value == pytest.approx(0.12, abs=0.01)


def test_paired_test_of_many_thousand_images_does_not_overflow() -> None:
    a = np.arange(20_000) % 2 == 0
    assert mcnemar(a, ~a).p_value == 1.0
    assert mcnemar(np.ones(20_000, bool), np.zeros(20_000, bool)).p_value == 0.0


def test_paired_test_of_different_images_is_refused() -> None:
    with pytest.raises(ValueError, match="not the same images: 2 and 3"):
        mcnemar(np.ones(2, bool), np.ones(3, bool))


@pytest.mark.parametrize(
    ("p_value", "text", "difference"),
    [
        (0.0, "p < 0.001", "yes, p < 0.001"),
        (0.001, "p = 0.001", "yes, p = 0.001"),
        (SIGNIFICANT, "p = 0.050", "not shown, p = 0.050"),
        (1.0, "p = 1.000", "not shown, p = 1.000"),
    ],
)
def test_p_value_in_words_says_whether_a_difference_is_real(
    p_value: float, text: str, difference: str
) -> None:
    assert (describe_p(p_value), describe_difference(p_value)) == (text, difference)
