from __future__ import annotations

import math

import numpy as np
import pytest
from edge_classify.benchmarks.scoring.statistics import (
    cross_entropy,
    expected_calibration_error,
    measure,
)
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference


def _predictions(images: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random probabilities, and truths of which about half agree with them."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(classes, 0.5), images).astype(np.float32)
    truth = np.where(rng.random(images) < 0.5, probabilities.argmax(1), rng.integers(0, classes, images))
    return probabilities, truth.astype(np.int64)


@given(st.integers(1, 200), st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_measured_rates_of_any_predictions_equal_scikit_learns(images: int, classes: int, seed: int) -> None:
    probabilities, truth = _predictions(images, classes, seed)
    guess, every = probabilities.argmax(1), range(classes)
    found = measure(probabilities, truth, tuple(map(str, every)))
    assert found.accuracy == pytest.approx(reference.accuracy_score(truth, guess))
    # Like scikit-learn, macro F1 averages over the classes that occur or are predicted.
    assert found.macro_f1 == pytest.approx(reference.f1_score(truth, guess, average="macro", zero_division=0))
    recalls = reference.recall_score(truth, guess, average=None, labels=np.unique(truth))
    assert found.balanced_accuracy == pytest.approx(recalls.mean())
    assert np.array_equal(found.confusion, reference.confusion_matrix(truth, guess, labels=every))
    rows = reference.precision_recall_fscore_support(truth, guess, labels=every, zero_division=0)
    ours = [(row.precision, row.recall, row.f1, row.support) for row in found.classes]
    assert np.allclose(ours, np.transpose(rows))


def test_cross_entropy_of_three_images_is_the_mean_of_their_logarithms() -> None:
    # By hand: -(ln 0.5 + ln 0.25 + ln 0.125) / 3 = ln 2 * (1 + 2 + 3) / 3 = 2 ln 2.
    probabilities = np.array([[0.5, 0.5, 0], [0.5, 0.25, 0.25], [0.125, 0.5, 0.375]], np.float32)
    assert cross_entropy(probabilities, np.array([0, 1, 0])) == pytest.approx(2 * math.log(2))


def test_cross_entropy_of_a_quantised_zero_is_finite() -> None:
    # By hand: -ln 1e-7, Keras's epsilon.
    assert cross_entropy(np.array([[1.0, 0.0]], np.float32), np.array([1])) == pytest.approx(16.118096)


def test_calibration_error_of_two_bins_is_their_weighted_gap() -> None:
    # By hand, 10 bins: three images at 0.75 of which one is right (gap 0.75 - 1/3, weight 3/4), and one
    # at 0.95 that is right (gap 0.05, weight 1/4): 0.3125 + 0.0125.
    sure = [0.75, 0.75, 0.75, 0.95]
    probabilities = np.array([[p, 1 - p] for p in sure], np.float32)
    error = expected_calibration_error(probabilities, np.array([0, 1, 1, 0]), bins=10)
    assert error == pytest.approx(0.325, abs=1e-6)


def test_calibration_error_at_the_edge_of_a_bin_counts_in_the_lower_one() -> None:
    # Guo et al. use bins (a, b]. With two bins, 0.5 falls into (0, 0.5] and 0.8 into (0.5, 1]:
    # |0.5 - 0| / 2 + |0.8 - 1| / 2 = 0.35. In one common bin it would be |1.3 - 1| / 2 = 0.15.
    probabilities = np.array([[0.5, 0.5], [0.8, 0.2]], np.float32)
    error = expected_calibration_error(probabilities, np.array([1, 0]), bins=2)
    assert error == pytest.approx(0.35, abs=1e-6)


def test_intervals_of_many_images_hold_the_measured_value_and_shrink() -> None:
    widths = []
    for images in (50, 5000):
        found = measure(*_predictions(images, 4, 1), ("a", "b", "c", "d"))
        for value, (low, high) in (
            (found.macro_f1, found.macro_f1_ci95),
            (found.balanced_accuracy, found.balanced_accuracy_ci95),
        ):
            assert low < value < high
            widths.append(high - low)
    # Widths go with 1 / sqrt(images): a tenth.
    assert widths[2:] == pytest.approx([width / 10 for width in widths[:2]], rel=0.3)


def test_interval_of_balanced_two_classes_agrees_with_the_normal_approximation() -> None:
    # Balanced accuracy of 2 x 1000 images at 80 % each has the standard error sqrt(0.8 * 0.2 / 2000).
    truth = np.repeat([0, 1], 1000)
    guess = np.where(np.arange(2000) % 5 == 0, 1 - truth, truth)
    found = measure(np.eye(2, dtype=np.float32)[guess], truth, ("a", "b"))
    half = 1.96 * math.sqrt(0.8 * 0.2 / 2000)
    assert found.balanced_accuracy_ci95 == pytest.approx((0.8 - half, 0.8 + half), abs=0.002)


def test_measuring_twice_gives_the_same_figures() -> None:
    data = _predictions(100, 3, 5)
    assert measure(*data, ("a", "b", "c")) == measure(*data, ("a", "b", "c"))


def test_measuring_no_images_is_refused() -> None:
    with pytest.raises(ValueError, match="no images"):
        measure(np.zeros((0, 2), np.float32), np.zeros(0, np.int64), ("a", "b"))
