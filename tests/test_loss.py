"""Points of top-1 that a file lost, and the one rule by which they are compared with a limit."""

from __future__ import annotations

import pytest
from edge_classify.benchmarks.scoring.loss import Loss


@pytest.mark.parametrize(
    ("fraction", "exceeds"),
    [(0.91 - 0.9, False), (0.01, False), (0.0101, True), (0.0, False), (-0.2, False), (1.0, True)],
)
def test_loss_exceeds_a_limit_only_where_that_is_no_rounding(fraction: float, exceeds: bool) -> None:
    assert Loss(fraction).exceeds(0.01) == exceeds


def test_largest_loss_is_found_and_written_in_points() -> None:
    worst = max(Loss(0.0123), Loss(-0.5), Loss(0.0))
    assert str(worst) == "1.23 points" and worst.points == pytest.approx(1.23)
