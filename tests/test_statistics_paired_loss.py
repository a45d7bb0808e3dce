"""The exact test of a loss between two models, and its bounds."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from edge_classify.edge.statistics.paired_loss import (
    images_to_decide,
    largest_loss,
    loss_p_value,
    proportion_bounds,
    smallest_loss,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

RUNS = 2000


def share_reported(images: int, lost: float, won: float, limit: float = 0.01) -> float:
    """Return in which share of simulated runs a loss above `limit` is shown at 95 %."""
    rng = np.random.default_rng(images)
    counts = rng.multinomial(images, [lost, won, 1 - lost - won], size=RUNS)[:, :2]
    pairs, runs = np.unique(counts, axis=0, return_counts=True)
    shown = [loss_p_value(int(a), int(b), images, limit) < 0.05 for a, b in pairs]
    return float(runs[shown].sum() / RUNS)


@pytest.mark.parametrize("images", [36, 90, 359, 1000])
def test_healthy_file_is_reported_in_at_most_2_per_cent_of_runs(images: int) -> None:
    assert share_reported(images, lost=0.012, won=0.010) <= 0.02


@pytest.mark.parametrize(("lost", "won"), [(0.050, 0.0), (0.060, 0.010), (0.062, 0.012)])
def test_loss_of_5_points_is_reported_on_359_images_in_at_least_85_per_cent_of_runs(
    lost: float, won: float
) -> None:
    assert share_reported(359, lost, won) >= 0.85


@pytest.mark.parametrize(("lost", "won"), [(0.100, 0.0), (0.110, 0.010), (0.112, 0.012)])
def test_loss_of_10_points_is_reported_on_200_images_in_at_least_95_per_cent_of_runs(
    lost: float, won: float
) -> None:
    assert share_reported(200, lost, won) >= 0.95


@pytest.mark.parametrize("limit", [0.0, 0.01, 0.05])
def test_loss_of_exactly_the_limit_is_never_reported_more_often_than_in_5_per_cent_of_all_outcomes(
    limit: float,
) -> None:
    images = 25
    outcomes = [(lost, won) for lost in range(images + 1) for won in range(images + 1 - lost)]
    shown = [(a, b) for a, b in outcomes if loss_p_value(a, b, images, limit) < 0.05]
    assert shown
    for won_rate in np.linspace(0, (1 - limit) / 2, 40):
        rates = (won_rate + limit, won_rate, max(0.0, 1 - limit - 2 * won_rate))
        total = sum(
            comb(images, a)
            * comb(images - a, b)
            * rates[0] ** a
            * rates[1] ** b
            * rates[2] ** (images - a - b)
            for a, b in shown
        )
        assert total <= 0.05


def test_bounds_are_a_little_outside_of_the_published_ones_of_the_score_method() -> None:
    # T. Tango, Stat. Med. 17 (1998) 891: 7 and 1 of 21 children, 95 % interval 0.0260 to 0.5173.
    low, high = smallest_loss(7, 1, 21, 0.975), largest_loss(7, 1, 21, 0.975)
    assert 0.0260 - 0.02 < low <= 0.0260 and 0.5173 <= high < 0.5173 + 0.02


@given(st.integers(1, 60), st.data())
def test_loss_lies_between_its_bounds_which_agree_with_the_test(images: int, data: st.DataObject) -> None:
    lost = data.draw(st.integers(0, images))
    won = data.draw(st.integers(0, images - lost))
    low, high = smallest_loss(lost, won, images), largest_loss(lost, won, images)
    assert -1 <= low <= (lost - won) / images <= high <= 1
    if low > -1:
        assert loss_p_value(lost, won, images, low) < 0.05 + 1e-9


def test_exact_and_normal_distribution_of_the_statistic_agree_where_they_meet() -> None:
    exact, normal = loss_p_value(120, 80, 20_000, 0.001), loss_p_value(121, 80, 20_000, 0.001)
    assert exact == pytest.approx(normal, abs=0.02) and 0.05 < normal < 0.2


def test_bounds_of_a_proportion_equal_scipys() -> None:
    for successes, trials in ((0, 36), (1, 36), (36, 36), (4, 1000)):
        expected = stats.binomtest(successes, trials).proportion_ci(0.9, "exact")
        assert proportion_bounds(successes, trials, 0.95) == pytest.approx((expected.low, expected.high))


def test_number_of_images_that_would_decide_shows_a_healthy_file_in_8_of_10_runs() -> None:
    images = images_to_decide(lost=11, won=11, images=1000, limit=0.01)
    rng = np.random.default_rng(0)
    counts = rng.multinomial(images, [0.011, 0.011, 0.978], size=200)[:, :2]
    told = [loss_p_value(int(b), int(a), images, -0.01) < 0.05 for a, b in counts]
    assert np.mean(told) == pytest.approx(0.8, abs=0.08)
    # Where no answer differs, as many as are needed to see none again: the rule of three.
    assert images_to_decide(0, 0, 36, 0.01) == 299


def test_counts_and_limits_that_cannot_be_are_refused() -> None:
    for counts in ((3, 3, 5), (-1, 0, 5), (0, 0, 0)):
        with pytest.raises(ValueError, match="counts cannot be"):
            loss_p_value(*counts, limit=0.01)
    with pytest.raises(ValueError, match="limit must be a fraction"):
        loss_p_value(0, 0, 10, 5)
    with pytest.raises(ValueError, match="limit must be above 0"):
        images_to_decide(0, 0, 10, 0)
