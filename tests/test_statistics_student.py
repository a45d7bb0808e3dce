"""Student's t distribution against SciPy."""

from __future__ import annotations

import pytest
from edge_classify.edge.statistics.student import t_p_value, t_quantile
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats


@given(st.floats(0, 60), st.integers(1, 40))
def test_p_value_of_t_is_scipys(t: float, freedom: int) -> None:
    assert t_p_value(t, freedom) == pytest.approx(2 * stats.t.sf(t, freedom), abs=1e-8)
    assert t_p_value(-t, freedom) == t_p_value(t, freedom)


@given(st.floats(1e-6, 0.999), st.integers(1, 40))
def test_quantile_of_t_is_scipys(p_value: float, freedom: int) -> None:
    assert t_quantile(p_value, freedom) == pytest.approx(
        stats.t.isf(p_value / 2, freedom), rel=1e-6, abs=1e-9
    )
