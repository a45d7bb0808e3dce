"""The interval of a difference over several sets holds the truth, and knows which images belong together."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from studies.pooled_difference import PooledDifference, SetAnswers, pooled_difference

UNITS, SIZE = 24, 8
RUNS = 300


def answers(
    rng: np.random.Generator,
    margin: float,
    *,
    of_unit: float = 1.0,
    of_seed: float = 0.0,
    seeds: int = 3,
    name: str = "set",
) -> SetAnswers:
    """Draw answers of two recipes: right where a normal figure is above zero, `margin` higher for the first.

    `of_unit` is the deviation that all images of a unit share, for each recipe; `of_seed` that of a training.
    """
    units = np.repeat([f"unit {number}" for number in range(UNITS)], SIZE)
    picture = rng.normal(size=UNITS * SIZE)

    def right(level: float) -> NDArray[np.bool_]:
        unit = np.repeat(rng.normal(0, of_unit, UNITS), SIZE)
        trained = rng.normal(0, of_seed, (seeds, 1)) + rng.normal(0, 0.5, (seeds, UNITS * SIZE))
        return np.asarray(picture + unit + trained + level > 0)

    return SetAnswers(name, right(0.8 + margin), right(0.8), units.tolist())


def true_difference(margin: float, of_unit: float = 1.0, of_seed: float = 0.0) -> float:
    """Return the difference of the rates at which such normal figures are above zero."""
    deviation = (1 + of_unit**2 + of_seed**2 + 0.25) ** 0.5
    return float(stats.norm.cdf((0.8 + margin) / deviation) - stats.norm.cdf(0.8 / deviation))


def apart(answers: SetAnswers) -> SetAnswers:
    """Return the same answers with each image as a unit of its own."""
    return SetAnswers(answers.name, answers.recipe, answers.other, [str(i) for i in range(UNITS * SIZE)])


def holds(found: PooledDifference, truth: float) -> bool:
    return found.pooled.interval[0] <= truth <= found.pooled.interval[1]


@pytest.mark.parametrize("seeds", [1, 3])
def test_interval_holds_the_truth_in_95_of_100_runs_and_in_far_fewer_without_units(seeds: int) -> None:
    rng, truth = np.random.default_rng(seeds), true_difference(0.2)
    runs = [[answers(rng, 0.2, seeds=seeds, name=name) for name in "ab"] for _ in range(RUNS)]
    held = sum(holds(pooled_difference(sets, 400), truth) for sets in runs)
    held_apart = sum(holds(pooled_difference(list(map(apart, sets)), 400), truth) for sets in runs)
    assert 0.92 <= held / RUNS <= 0.98  # 95 % within two standard errors of 300 runs.
    assert held_apart / RUNS < 0.85


def test_trainings_that_differ_as_a_whole_widen_the_interval_until_it_holds_the_truth() -> None:
    rng, truth = np.random.default_rng(9), true_difference(0.2, of_unit=0, of_seed=0.3)
    runs = [answers(rng, 0.2, of_unit=0, of_seed=0.3, seeds=6) for _ in range(RUNS)]
    found = [pooled_difference([one], 400) for one in runs]
    averaged = [
        pooled_difference(
            [SetAnswers("set", one.recipe.mean(axis=0)[None], one.other.mean(axis=0)[None], one.units)], 400
        )
        for one in runs
    ]
    assert sum(holds(one, truth) for one in found) / RUNS >= 0.91
    assert sum(holds(one, truth) for one in averaged) / RUNS < 0.80


def test_independent_images_of_one_training_give_the_interval_of_a_paired_mean() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random((1, 500)) < 0.9, rng.random((1, 500)) < 0.8
    found = pooled_difference([SetAnswers("set", a, b, [str(i) for i in range(500)])]).pooled
    expected = stats.ttest_rel(a[0].astype(float), b[0].astype(float)).confidence_interval()
    assert found.mean == pytest.approx(a.mean() - b.mean())
    assert found.interval == pytest.approx((expected.low, expected.high), abs=0.003)


def test_large_set_and_small_set_count_alike() -> None:
    better, equal = np.ones((1, 40), np.bool_), np.zeros((1, 4), np.bool_)
    sets = [
        SetAnswers("large", better, ~better, [str(i) for i in range(40)]),
        SetAnswers("small", equal, equal, ["a", "a", "b", "b"]),
    ]
    found = pooled_difference(sets)
    assert found.pooled.mean == 0.5
    assert {name: one.mean for name, one in found.sets.items()} == {"large": 1.0, "small": 0.0}
    assert (found.pooled.images, found.pooled.units) == (44, 42)


def test_figures_that_do_not_fit_the_units_are_refused() -> None:
    right = np.ones((2, 3), np.bool_)
    with pytest.raises(ValueError, match=r"figures must be \[seeds, 2 images\]. Received: \(2, 3\)"):
        SetAnswers("set", right, right, ["a", "b"])
    with pytest.raises(ValueError, match="at least two units"):
        SetAnswers("set", right, right, ["a", "a", "a"])
    one = SetAnswers("set", right, right, ["a", "b", "c"])
    with pytest.raises(ValueError, match="different names"):
        pooled_difference([one, one])
