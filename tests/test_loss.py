"""What images show of a loss, in words and in verdicts."""

from __future__ import annotations

import numpy as np
import pytest
from edge_classify.benchmarks.scoring.loss import EstimatedLoss, Loss, describe_doubt


def test_one_image_of_36_shows_no_loss_and_the_number_of_images_that_would_tell_is_named() -> None:
    loss = Loss(lost=1, won=0, images=36)
    assert str(loss) == "2.78 points"
    assert not loss.is_shown_above(0.01) and not loss.is_excluded_above(0.01)
    told = describe_doubt(loss, 0.01)
    assert told == "cannot be told from 36 images (at most 12.57 points at 95 %); about 1,800 would tell"


def test_loss_that_the_images_show_and_one_that_they_exclude_leave_no_doubt() -> None:
    shown, excluded = Loss(30, 2, 359), Loss(3, 3, 2000)
    assert shown.is_shown_above(0.01) and shown.at_least() > 0.01
    assert excluded.is_excluded_above(0.01) and excluded.at_most() <= 0.01
    assert describe_doubt(shown, 0.01) is None and describe_doubt(excluded, 0.01) is None
    assert not Loss(36, 0, 36).is_shown_above(1.0)


def test_of_many_comparisons_each_must_be_clearer() -> None:
    loss = Loss(lost=13, won=2, images=359)
    assert loss.is_shown_above(0.01) and not loss.is_shown_above(0.01, comparisons=16)


def test_file_that_answers_alike_on_many_images_without_labels_cannot_have_lost_much() -> None:
    few = Loss(lost=0, won=0, images=36)
    more = Loss(lost=0, won=0, images=36, differing=1, compared=1000)
    assert few.at_most() > 0.07 and more.at_most() < 0.007
    assert more.is_excluded_above(0.01)


def test_loss_without_labels_is_estimated_from_the_float_models_probabilities() -> None:
    model = np.tile([0.7, 0.2, 0.1], (50, 1))
    file = model.copy()
    file[:10] = [0.2, 0.7, 0.1]  # Each of these answers is 0.5 less probable to the model.
    loss = EstimatedLoss.estimate(model, file)
    assert loss.fraction == pytest.approx(0.1) and (loss.images, loss.differing) == (50, 10)
    assert 0.03 < loss.at_least() < 0.1 < loss.at_most() < 0.35
    assert loss.is_shown_above(0.01) and not loss.is_shown_above(0.09)
    assert str(loss) == "about 10.00 points"
    alike = EstimatedLoss.estimate(model, model)
    assert alike.at_least() == 0 and not alike.is_shown_above(0.01)
