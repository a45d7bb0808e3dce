"""Do the intervals hold the true value as often as they say? By simulation; seeds are fixed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from edge_classify.benchmarks.scoring.statistics import (
    calibration_error,
    calibration_interval,
    confidence_bins,
    count_answers,
    macro_f1_score,
    measure,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import f1_score

SAMPLES = 400
BINS = 15


@pytest.mark.parametrize(
    ("classes", "images", "accuracy"),
    [(3, 60, 0.97), (10, 100, 0.5), (10, 1000, 0.99), (100, 300, 0.7)],
)
def test_macro_f1_interval_holds_the_true_value_as_often_as_it_says(
    classes: int, images: int, accuracy: float
) -> None:
    rng = np.random.default_rng(2)
    chances = np.full((classes, classes), (1 - accuracy) / (classes - 1)) * rng.gamma(
        1, 1, (classes, classes)
    )
    np.fill_diagonal(chances, accuracy)
    chances *= rng.dirichlet(np.full(classes, 5))[:, None] / chances.sum(1, keepdims=True)
    true = float((2 * chances.diagonal() / (chances.sum(0) + chances.sum(1))).mean())
    held = 0
    for _ in range(SAMPLES):
        pairs = rng.choice(classes**2, images, p=chances.ravel())
        truth, guess = pairs // classes, pairs % classes
        counts = count_answers(truth, guess, classes)
        _, (low, high) = macro_f1_score(truth, guess, counts, counts.support > 0)
        held += low <= true <= high
    # A bootstrap's holds it in 55 % of the first case's samples, and in 25 % of the last one's.
    assert held / SAMPLES >= 0.9


@given(st.integers(1, 80), st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_macro_f1_of_any_answers_equals_scikit_learns_and_lies_in_its_interval(
    images: int, classes: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    truth, guess = rng.integers(0, classes, images), rng.integers(-1, classes, images)
    counts = count_answers(truth, guess, classes)
    value, (low, high) = macro_f1_score(truth, guess, counts, counts.support > 0)
    present = np.unique(truth)
    assert value == pytest.approx(
        f1_score(truth, guess, labels=present, average="macro", zero_division=0), abs=1e-12
    )
    assert 0 <= low <= value + 1e-9 and value - 1e-9 <= high <= 1 and low < high


@given(st.lists(st.integers(1, 400), min_size=2, max_size=12))
def test_macro_f1_interval_of_right_answers_alone_is_that_of_a_rate_without_mistakes(
    sizes: list[int],
) -> None:
    truth = np.repeat(np.arange(len(sizes)), sizes)
    found = measure(np.eye(len(sizes), dtype=np.float32)[truth], truth, tuple(map(str, sizes)))
    # Recalls of 1 have no variance at all, sums of fractions nearly none.
    assert found.macro_f1_ci95 == pytest.approx(found.balanced_accuracy_ci95)
    assert found.macro_f1_ci95[0] > 0.2


def test_macro_f1_interval_of_answers_that_are_none_of_the_classes_is_that_of_a_proportion() -> None:
    # One class and answers of -1 otherwise: F1 = 2 * right / (images + right), and its variance by the delta
    # method from that of the proportion p = right / images: (2 / (1 + p)^2)^2 * p * (1 - p) / images.
    truth, guess = np.zeros(1000, np.int64), np.where(np.arange(1000) < 600, 0, -1)
    value, (low, high) = macro_f1_score(truth, guess, count_answers(truth, guess, 1), np.array([True]))
    half = 1.96 * 2 / 1.6**2 * np.sqrt(0.6 * 0.4 / 1000)
    assert value == pytest.approx(0.75) and (high - low) / 2 == pytest.approx(half, rel=0.3)


def _calibrated(rng: np.random.Generator, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    confidence = rng.beta(5, 1.2, count)
    return confidence, confidence


def _too_sure(rng: np.random.Generator, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    confidence = rng.beta(8, 1, count)
    return confidence, confidence**2


def _nearly_all_right(
    rng: np.random.Generator, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    confidence = 1 - rng.beta(1, 30, count)
    return confidence, confidence - 0.01


@pytest.mark.parametrize("kind", [_calibrated, _too_sure, _nearly_all_right])
@pytest.mark.parametrize("images", [50, 1000])
def test_calibration_interval_holds_the_true_error_in_95_percent_of_samples(
    kind: Callable[[np.random.Generator, int], tuple[NDArray[np.float64], NDArray[np.float64]]], images: int
) -> None:
    rng = np.random.default_rng(4)
    confidence, chance = kind(rng, 500_000)
    gaps = np.bincount(confidence_bins(confidence, BINS), weights=confidence - chance, minlength=BINS)
    true = float(np.abs(gaps).sum() / len(confidence))
    held = 0
    for _ in range(SAMPLES):
        confidence, chance = kind(rng, images)
        right = rng.random(images) < chance
        low, high = calibration_interval(confidence, right)
        assert low <= calibration_error(confidence, right) <= high
        held += low <= true <= high
    # A percentile bootstrap's never holds that of calibrated answers.
    assert held / SAMPLES >= 0.95


def test_calibration_interval_of_a_clear_error_is_narrow_and_far_from_zero() -> None:
    rng = np.random.default_rng(5)
    confidence, chance = _too_sure(rng, 20_000)
    low, high = calibration_interval(confidence, rng.random(20_000) < chance)
    assert low > 0.07 and high < 0.11
