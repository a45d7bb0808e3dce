"""Whether a model is better than chance: against scipy, permutations, and the verdicts that follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from edge_classify.edge.statistics.chance import (
    Standing,
    against_chance,
    compare_with_chance,
    describe_chance,
    untold_remark,
)
from numpy.typing import NDArray
from scipy.stats import hypergeom


@dataclass(frozen=True)
class _Measured:
    images: int
    top1: float
    chance: float | None
    above_chance_p: float | None


def _measure(truth: NDArray[np.int64], guess: NDArray[np.int64]) -> _Measured:
    chance = compare_with_chance(truth, guess)
    return _Measured(len(truth), float((truth == guess).mean()), chance.expected, chance.p_value)


def _standing(truth: list[int], guess: list[int]) -> Standing:
    return against_chance(_measure(np.array(truth), np.array(guess)))


def _answers(
    rng: np.random.Generator, images: int, classes: int, known: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return true classes, and answers of a model that knows a share of them and deals out the others."""
    truth = rng.integers(0, classes, images)
    guess = np.where(rng.random(images) < known, truth, rng.integers(0, classes, images))
    return truth, guess


def test_expected_share_is_cohens() -> None:
    """Cohen (1960), table 1: shares .60 .30 .10 and .50 .30 .20 of three categories; expected .41."""
    truth = np.repeat([0, 1, 2], [60, 30, 10])
    guess = np.repeat([0, 1, 2], [50, 30, 20])
    assert compare_with_chance(truth, guess).expected == pytest.approx(0.41)


@pytest.mark.parametrize("images", [12, 80, 299])
def test_two_classes_follow_the_hypergeometric_distribution(images: int) -> None:
    rng = np.random.default_rng(images)
    truth, guess = _answers(rng, images, 2, 0.2)
    zeros, answered = int((truth == 0).sum()), int((guess == 0).sum())
    both = int(((truth == 0) & (guess == 0)).sum())
    exact = float(hypergeom.sf(both - 1, images, zeros, answered))
    assert compare_with_chance(truth, guess).p_value == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("images", [1000, 4000])
def test_two_classes_of_many_images_come_close_to_it(images: int) -> None:
    rng = np.random.default_rng(images)
    for known in (0.0, 0.03, 0.06):
        truth, guess = _answers(rng, images, 2, known)
        zeros, answered = int((truth == 0).sum()), int((guess == 0).sum())
        both = int(((truth == 0) & (guess == 0)).sum())
        exact = float(hypergeom.sf(both - 1, images, zeros, answered))
        assert compare_with_chance(truth, guess).p_value == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize(
    ("images", "classes", "known"),
    [
        (40, 3, 0.1),
        (200, 10, 0.03),
        (300, 300, 0.003),
        (1000, 10, 0.01),
        (1000, 1000, 0.0),
        (3000, 50, 0.003),
    ],
)
def test_p_value_is_the_share_of_random_orders_that_are_right_as_often(
    images: int, classes: int, known: float
) -> None:
    rng = np.random.default_rng(classes)
    truth, guess = _answers(rng, images, classes, known)
    guess[:2] = -1  # Answers that are none of the classes.
    right = (truth == guess).sum()
    share = np.mean([(truth == rng.permutation(guess)).sum() >= right for _ in range(4000)])
    error = 4 * np.sqrt(share * (1 - share) / 4000)
    assert compare_with_chance(truth, guess).p_value == pytest.approx(share, abs=error + 0.004)


def test_one_answer_to_everything_is_at_chance_also_where_it_is_the_most_frequent() -> None:
    truth = [0] * 95 + [1] * 5
    assert _standing(truth, [0] * 100) is Standing.NOT_BETTER
    assert _standing(truth * 10, [0] * 1000) is Standing.NOT_BETTER


def test_exchanged_labels_are_worse_than_chance_and_thus_not_better() -> None:
    assert _standing([0, 1] * 20, [1, 0] * 20) is Standing.NOT_BETTER
    assert _standing([0, 1], [1, 0]) is Standing.NOT_BETTER


def test_few_images_cannot_tell_a_model_that_is_right_more_often() -> None:
    assert _standing([0, 0, 1, 1], [0, 0, 1, 0]) is Standing.UNTOLD
    assert _standing([0, 0, 1, 1] * 8, [0, 1, 1, 0] * 8) is Standing.NOT_BETTER


def test_images_of_one_class_tell_only_that_nothing_is_right() -> None:
    assert _standing([3] * 50, [3] * 49 + [0]) is Standing.UNTOLD
    assert _standing([3] * 50, [0] * 50) is Standing.NOT_BETTER
    assert _measure(np.array([3] * 5), np.array([3] * 5)).above_chance_p is None


def test_images_that_tell_nothing_are_remarked_on_with_what_would_tell() -> None:
    few = _measure(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0]))
    assert untold_remark("m", few) == (
        "m cannot be told from chance: 75.0% of 4 images are right, and chance alone gives 50.0% "
        "(p = 0.500). Give 30 or more to know"
    )
    alike = _measure(np.array([3] * 50), np.array([3] * 50))
    assert untold_remark("m", alike) == (
        "m cannot be told from chance: 100.0% of 50 images are right, and all are of one class. "
        "Give more of them, and of other classes, to know"
    )
    assert untold_remark("m", _measure(np.array([0, 1] * 20), np.array([0, 1] * 20))) is None


def test_a_figure_of_an_older_record_is_unknown() -> None:
    assert against_chance(_Measured(40, 0.0, None, None)) is Standing.UNKNOWN


def test_model_that_guesses_is_called_better_in_one_run_of_twenty() -> None:
    rng = np.random.default_rng(14)
    runs = [_measure(*_answers(rng, 100, 5, 0.0)) for _ in range(2000)]
    better = np.mean([against_chance(run) is Standing.BETTER for run in runs])
    assert 0.02 < better < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)


def test_useful_model_is_always_better() -> None:
    rng = np.random.default_rng(15)
    runs = [_measure(*_answers(rng, 36, 3, 0.6)) for _ in range(500)]
    assert np.mean([against_chance(run) is Standing.BETTER for run in runs]) > 0.99


def test_no_images_are_refused() -> None:
    with pytest.raises(ValueError, match="no images"):
        compare_with_chance(np.zeros(0, np.int64), np.zeros(0, np.int64))


def test_description_gives_both_shares_and_the_p_value() -> None:
    measured = _measure(np.array([0, 1] * 20), np.array([1, 0] * 20))
    assert (
        describe_chance(measured) == "0.0% of 40 images are right, and chance alone gives 50.0% (p = 1.000)"
    )
