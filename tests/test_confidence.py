"""Temperature, reliability and the threshold, on data whose true temperature and precision are known."""

from __future__ import annotations

import numpy as np
import pytest
from edge_classify.benchmarks.scoring.confidence import (
    MAX_TEMPERATURE,
    answered_above,
    apply_temperature,
    choose_threshold,
    fit_temperature,
    reliability_bins,
    temperature_loss,
)
from edge_classify.benchmarks.scoring.statistics import expected_calibration_error
from edge_classify.edge.statistics.proportions import wilson_interval
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

Probabilities = NDArray[np.float32]
Truth = NDArray[np.int64]
SEEDS = st.integers(0, 2**32 - 1)
STEP = 1 / 256


def calibrated(seed: int, images: int, classes: int, spread: float = 4.0) -> tuple[Probabilities, Truth]:
    """Return probabilities, and true classes drawn from exactly these."""
    rng = np.random.default_rng(seed)
    powers = np.exp(rng.normal(size=(images, classes)) * spread)
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    truth = (probabilities.cumsum(axis=1) < rng.random((images, 1))).sum(axis=1)
    return probabilities.astype(np.float32), np.minimum(truth, classes - 1)


def in_eight_bits(probabilities: Probabilities) -> Probabilities:
    """Round as the softmax of an int8 model does: 256 values, the highest 255/256."""
    return np.asarray(np.clip(np.rint(probabilities / STEP), 0, 255) * STEP, np.float32)


def two_answers(sure_right: int, sure_wrong: int, unsure_wrong: int) -> tuple[Probabilities, Truth]:
    """Return images of two classes, answered with confidence 0.9 or 0.6."""
    sure, unsure = sure_right + sure_wrong, unsure_wrong
    rows = [[0.9, 0.1]] * sure + [[0.6, 0.4]] * unsure
    truth = [0] * sure_right + [1] * (sure_wrong + unsure_wrong)
    return np.array(rows, np.float32).reshape(-1, 2), np.array(truth, np.int64)


@pytest.mark.parametrize("true_temperature", [0.5, 1.7, 3.0])
@pytest.mark.parametrize("classes", [3, 10, 101])
def test_temperature_of_an_overconfident_model_is_recovered(classes: int, true_temperature: float) -> None:
    probabilities, truth = calibrated(1, 8000, classes, spread=2.0)
    overconfident = apply_temperature(probabilities, 1 / true_temperature)
    fitted = fit_temperature(overconfident, truth)
    assert fitted == pytest.approx(true_temperature, rel=0.04)
    before = expected_calibration_error(overconfident, truth)
    after = expected_calibration_error(apply_temperature(overconfident, fitted), truth)
    assert after < min(before, 0.02)


@pytest.mark.parametrize(("classes", "spread"), [(3, 4.0), (10, 4.0), (101, 2.0), (101, 8.0), (1000, 4.0)])
def test_rounding_to_eight_bits_hardly_changes_the_temperature(classes: int, spread: float) -> None:
    probabilities, truth = calibrated(2, 1500, classes, spread)
    rounded = in_eight_bits(probabilities)
    assert (rounded == 0).any()
    expected = fit_temperature(probabilities, truth)
    assert fit_temperature(rounded, truth, STEP) == pytest.approx(expected, rel=0.04)


@given(SEEDS, st.integers(2, 8), st.floats(0.3, 3.0))
def test_no_other_temperature_has_a_lower_loss(seed: int, classes: int, other: float) -> None:
    probabilities, truth = calibrated(seed, 60, classes)
    fitted = fit_temperature(probabilities, truth)
    if fitted == 1.0:  # Fewer than three answers are wrong.
        return
    assert (
        temperature_loss(probabilities, truth, fitted) <= temperature_loss(probabilities, truth, other) + 1e-7
    )


def test_loss_at_temperature_one_is_the_cross_entropy() -> None:
    probabilities, truth = calibrated(3, 50, 4, spread=1.0)
    expected = -np.log(probabilities[np.arange(50), truth].astype(np.float64)).mean()
    assert temperature_loss(probabilities, truth) == pytest.approx(expected, rel=1e-6)
    hot = apply_temperature(probabilities, 2.5)
    assert temperature_loss(probabilities, truth, 2.5) == pytest.approx(
        temperature_loss(hot, truth), rel=1e-5
    )


@given(SEEDS, st.integers(2, 12), st.floats(0.05, 20.0), st.booleans())
def test_temperature_never_changes_the_answer(
    seed: int, classes: int, temperature: float, quantized: bool
) -> None:
    probabilities, _ = calibrated(seed, 20, classes)
    if quantized:
        probabilities = in_eight_bits(probabilities)
    changed = apply_temperature(probabilities, temperature, STEP if quantized else 0.0)
    answers = probabilities.argmax(axis=1)
    assert (changed[np.arange(20), answers] == changed.max(axis=1)).all()
    np.testing.assert_allclose(changed.sum(axis=1), 1, atol=1e-5)


def test_temperature_of_nothing_to_learn_from_is_one() -> None:
    right = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    assert fit_temperature(right, np.array([0, 1])) == 1.0
    assert fit_temperature(np.full((5, 4), 0.25, np.float32), np.array([0, 1, 2, 3, 0])) == 1.0
    assert fit_temperature(np.zeros((0, 4), np.float32), np.zeros(0, np.int64)) == 1.0


@pytest.mark.parametrize(("wrong", "surer"), [(0, False), (1, False), (2, False), (3, True)])
def test_fewer_than_three_wrong_answers_do_not_make_a_model_surer(wrong: int, surer: bool) -> None:
    """One answer that is wrong by a hair among 39 right ones would lead to a temperature of 0.05."""
    rows = [[0.6, 0.4]] * 39 + [[0.501, 0.499]] * wrong
    truth = np.array([0] * 39 + [1] * wrong)
    assert (fit_temperature(np.array(rows, np.float32), truth) < 1) is surer
    overconfident = np.array([[0.999, 0.001]] * (39 + wrong), np.float32)
    assert wrong == 0 or fit_temperature(overconfident, truth) > 1


def test_temperature_of_answers_worse_than_chance_is_the_highest() -> None:
    wrong = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]], np.float32)
    assert fit_temperature(wrong, np.array([1, 0, 0])) == pytest.approx(MAX_TEMPERATURE, rel=1e-4)


def test_temperature_survives_exact_zeros_and_ones() -> None:
    probabilities = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]], np.float32)
    truth = np.array([0, 1, 2, 2])
    for step in (0.0, STEP):
        fitted = fit_temperature(probabilities, truth, step)
        assert 1 < fitted <= MAX_TEMPERATURE
        assert np.isfinite(apply_temperature(probabilities, fitted, step)).all()


@given(SEEDS, st.integers(1, 80), st.booleans())
def test_reliability_bins_add_up_to_the_calibration_error(seed: int, images: int, quantized: bool) -> None:
    probabilities, truth = calibrated(seed, images, 3)
    if quantized:
        probabilities = in_eight_bits(probabilities)
    bins = reliability_bins(probabilities, truth)
    assert sum(bin.images for bin in bins) == images
    assert all(bin.low < bin.confidence <= bin.high + 1e-9 for bin in bins if bin.images)
    error = sum(bin.images * abs(bin.confidence - bin.accuracy) for bin in bins) / images
    assert error == pytest.approx(expected_calibration_error(probabilities, truth), abs=1e-9)


@given(SEEDS, st.integers(1, 300), st.floats(0.3, 0.99), st.booleans())
def test_threshold_is_the_lowest_confidence_that_keeps_the_precision(
    seed: int, images: int, precision: float, quantized: bool
) -> None:
    probabilities, truth = calibrated(seed, images, 4)
    if quantized:
        probabilities = in_eight_bits(probabilities)
    chosen = choose_threshold(probabilities, truth, precision)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth

    def enough(value: float) -> bool:
        answered = right[confidence >= value]
        return wilson_interval(int(answered.sum()), len(answered))[0] >= precision

    candidates = [float(value) for value in np.unique(confidence) if enough(float(value))]
    if chosen is None:
        assert not candidates
        return
    assert chosen.value == min(candidates)
    assert (chosen.coverage, chosen.precision) == answered_above(probabilities, truth, chosen.value)
    assert (chosen.stated_precision, chosen.images) == (precision, images)
    assert chosen.precision >= precision


def test_threshold_leaves_out_the_answers_that_are_often_wrong() -> None:
    probabilities, truth = two_answers(sure_right=200, sure_wrong=2, unsure_wrong=50)
    chosen = choose_threshold(probabilities, truth, 0.95)
    assert chosen is not None
    assert chosen.value == pytest.approx(0.9)
    assert (chosen.precision, chosen.coverage) == (200 / 202, 202 / 252)


@pytest.mark.parametrize(("precision", "needed"), [(0.9, 35), (0.95, 73), (0.99, 381)])
def test_threshold_needs_enough_images_even_when_all_are_right(precision: float, needed: int) -> None:
    assert choose_threshold(*two_answers(needed - 1, 0, 0), precision) is None
    chosen = choose_threshold(*two_answers(needed, 0, 0), precision)
    assert chosen is not None and chosen.coverage == 1.0


def test_threshold_is_none_where_none_is_good_enough() -> None:
    assert choose_threshold(*two_answers(100, 50, 0), 0.9) is None
    assert choose_threshold(*two_answers(10_000, 0, 0), 1.0) is None
    assert choose_threshold(*two_answers(0, 0, 0), 0.5) is None


def test_threshold_holds_on_new_images_in_nearly_all_draws() -> None:
    stated, draws, broken = 0.9, 60, 0
    unseen, unseen_truth = calibrated(999, 20_000, 10)
    for seed in range(draws):
        chosen = choose_threshold(*calibrated(seed, 1000, 10), stated)
        if chosen is not None:
            _, precision = answered_above(unseen, unseen_truth, chosen.value)
            broken += precision is not None and precision < stated
    assert broken <= 4  # 2.5 % are expected; a threshold from the bare share breaks in about half.


@pytest.mark.parametrize("precision", [0.0, -1.0, 1.01, float("nan")])
def test_precision_that_is_no_share_is_refused(precision: float) -> None:
    with pytest.raises(ValueError, match="precision must be above 0"):
        choose_threshold(*two_answers(5, 0, 0), precision)


def test_nothing_answered_has_no_accuracy() -> None:
    assert answered_above(*two_answers(5, 0, 0), 0.95) == (0.0, None)
    with pytest.raises(ValueError, match="no images"):
        answered_above(*two_answers(0, 0, 0), 0.5)


def test_probabilities_that_8_bits_rounded_to_nothing_share_what_is_missing_up_to_half_a_step_each() -> None:
    for first, each in ((0.5, STEP / 2), (1.0, STEP / 2 / 3), (1 - STEP, STEP / 3)):
        rounded = np.array([[first, 0, 0, 0]], np.float32)
        powers = np.sqrt([first, each, each, each])  # At temperature 2.
        expected = powers / powers.sum()
        np.testing.assert_allclose(apply_temperature(rounded, 2.0, STEP)[0], expected, rtol=1e-5)


def test_reliability_bins_lie_side_by_side_from_0_to_1() -> None:
    bins = reliability_bins(*calibrated(0, 50, 3), bins=4)
    edges = [(one.low, one.high) for one in bins]
    assert edges == [(0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)]
