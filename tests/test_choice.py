"""Files are compared with the most accurate float model, on the same images."""

from __future__ import annotations

import numpy as np
import pytest
from edge_classify.benchmarks.results.bits import pack, unpack
from edge_classify.benchmarks.scoring.choice import RightAnswers, compare_with_best, count_comparisons
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray


def right(images: int, wrong: range) -> NDArray[np.bool_]:
    answers = np.ones(images, np.bool_)
    answers[list(wrong)] = False
    return answers


def test_point_that_quantizing_won_by_chance_is_no_merit() -> None:
    model = right(100, range(5))
    lucky = RightAnswers("photos", True, right(100, range(3)), model)
    losses = compare_with_best([RightAnswers("photos", True, model), lucky])
    assert losses[0].loss is None
    assert losses[1].loss is not None and losses[1].loss.fraction == -0.02 and losses[1].own


def test_file_of_another_model_is_compared_with_the_best_float_model() -> None:
    best, other = right(100, range(5)), right(100, range(5, 40))
    rows = [
        RightAnswers("photos", True, best),
        RightAnswers("photos", True, other, other, differing=0, compared=500),
    ]
    loss = compare_with_best(rows)[1].loss
    assert loss is not None and (loss.lost, loss.won, loss.images) == (35, 5, 100)
    assert loss.compared == 0  # What other images say of its own model says nothing of the best one.
    assert count_comparisons(rows) == 4


def test_answers_to_different_images_are_not_compared() -> None:
    with pytest.raises(ValueError, match="not the same images"):
        compare_with_best(
            [RightAnswers("a", True, right(9, range(1))), RightAnswers("a", True, right(8, range(1)))]
        )


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_right_answers_survive_as_text(answers: list[bool]) -> None:
    assert unpack(pack(np.array(answers)), len(answers)).tolist() == answers


def test_text_that_does_not_hold_the_images_is_refused() -> None:
    for text in ("AA==", "no base64!", "AAAAAA=="):
        with pytest.raises(ValueError):
            unpack(text, 20)
