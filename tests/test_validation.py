from __future__ import annotations

import math

import numpy as np
import pytest
from edge_classify.benchmarks.scoring.confidence import calibration_loss, fit_temperature
from edge_classify.train.imbalance import logit_offsets
from edge_classify.train.validation import validate
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

NONE = np.zeros(3, np.float32)


def _logits(seed: int, images: int = 60) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits that are right more often than not."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, images)
    logits = rng.normal(size=(images, 3)).astype(np.float32)
    logits[np.arange(images), truth] += 1
    return logits, truth


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


@given(st.integers(0, 10_000), st.floats(0.2, 8))
def test_validation_loss_of_any_logits_does_not_depend_on_how_sure_they_are(seed: int, factor: float) -> None:
    logits, truth = _logits(seed)
    plain, scaled = validate(logits, truth, NONE, None), validate(logits * factor, truth, NONE, None)
    assert scaled[0] == pytest.approx(plain[0], abs=2e-3)
    assert scaled[1] == plain[1] == (logits.argmax(1) == truth).mean()


def test_validation_loss_is_the_cross_entropy_at_the_best_temperature() -> None:
    logits, truth = _logits(0)
    probabilities = _softmax(logits)
    expected = calibration_loss(probabilities, truth, fit_temperature(probabilities, truth))
    assert validate(logits, truth, NONE, None)[0] == pytest.approx(expected, rel=1e-5)
    assert expected < calibration_loss(probabilities, truth, 4.0)


def test_validation_loss_with_weights_counts_each_class_by_its_weight() -> None:
    logits, truth = _logits(1)
    weights = np.array([4, 1, 0.5], np.float32)
    alone = [validate(logits, truth, NONE, np.eye(3, dtype=np.float32)[label])[0] for label in range(3)]
    shares = weights * np.bincount(truth)
    expected = float((shares * alone).sum() / shares.sum())
    assert validate(logits, truth, NONE, weights)[0] == pytest.approx(expected, rel=1e-5)


def test_validation_loss_of_adjusted_logits_is_measured_as_they_are_trained() -> None:
    offsets = logit_offsets("logit-adjustment", [100, 10, 1])
    logits, truth = _logits(2)
    loss, accuracy = validate(logits - offsets, truth, offsets, None)
    assert loss == pytest.approx(validate(logits, truth, NONE, None)[0], rel=1e-4)
    assert accuracy == ((logits - offsets).argmax(1) == truth).mean()


def test_validation_loss_of_logits_that_are_no_numbers_is_nan() -> None:
    logits, truth = _logits(3)
    logits[5, 1] = np.nan
    assert math.isnan(validate(logits, truth, NONE, None)[0])
