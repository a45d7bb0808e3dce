from __future__ import annotations

import json

import numpy as np
import pytest
from edge_classify.benchmarks.scoring.confidence import apply_temperature, reliability_bins
from edge_classify.benchmarks.scoring.statistics import expected_calibration_error, measure
from edge_classify.train.corruption import CORRUPTIONS
from edge_classify.train.dataset import Examples
from edge_classify.train.evaluation import MAX_CORRUPTED, MAX_MISTAKES, MAX_TRAIN_MEASURED, Evaluation

from .support.report_data import evaluate_with, make_evaluation, make_examples, make_labels, shade_reader

TEN = make_labels(10)


def test_evaluation_of_an_oversure_model_makes_it_less_sure_and_changes_no_answer() -> None:
    found = make_evaluation(TEN, 1000, skill=0.7, sureness=9)
    pictures = make_examples(10, 1000, 102)
    raw = shade_reader(10, 0, skill=0.7, sureness=9)(pictures.pixels[pictures.rows])
    assert found.metrics.accuracy == measure(raw, pictures.truth, TEN).accuracy
    assert np.array_equal(found.right, raw.argmax(axis=1) == pictures.truth)
    assert found.temperature > 1.5
    assert found.ece_before == expected_calibration_error(raw, pictures.truth)
    assert found.metrics.ece < found.ece_before / 1.5
    assert found.reliability_before == reliability_bins(raw, pictures.truth)
    calibrated = apply_temperature(raw, found.temperature)
    assert found.reliability_after == reliability_bins(calibrated, pictures.truth)
    assert found.metrics == measure(calibrated, pictures.truth, TEN)


def test_temperature_and_threshold_come_from_validation_and_are_measured_on_the_evaluation_images() -> None:
    # The validation images are answered by chance, the evaluation images rightly: only the former count.
    good, bad = make_examples(3, 300, 0), make_examples(3, 300, 1)
    bad = Examples(bad.pixels, bad.rows, np.random.default_rng(0).permutation(bad.truth))
    predict, labels = shade_reader(3, 0, skill=100), make_labels(3)
    hopeless = evaluate_with(predict, good, bad, good, labels, ["x"] * 300, 0.9, 0)
    assert hopeless.threshold is None and hopeless.answered is None and hopeless.temperature > 5
    hopeful = evaluate_with(predict, good, good, bad, labels, ["x"] * 300, 0.9, 0)
    assert hopeful.threshold is not None and hopeful.threshold.precision > 0.95
    assert hopeful.answered is not None and hopeful.answered.precision is not None
    assert hopeful.answered.precision < 0.6 and hopeful.answered.images == 300


def test_gap_is_training_accuracy_less_accuracy() -> None:
    good, bad = make_examples(3, 300, 0), make_examples(3, 200, 1)
    bad = Examples(bad.pixels, bad.rows, (bad.truth + 1) % 3)
    found = evaluate_with(shade_reader(3, 0, skill=100), good, good, bad, make_labels(3), ["x"] * 200, 0.9, 0)
    assert found.train_accuracy > 0.98 and found.metrics.accuracy < 0.02
    assert found.gap == found.train_accuracy - found.metrics.accuracy


def test_corruption_that_changes_nothing_costs_nothing_and_one_that_moves_shades_does() -> None:
    # Blur leaves plain pictures as they are; 10 % more light moves them by a class in ten.
    robustness = make_evaluation(TEN, 500, skill=100).corruption
    assert tuple(robustness.accuracy) == CORRUPTIONS and robustness.images == 500
    assert robustness.clean > 0.98
    assert robustness.accuracy["blur"] == robustness.clean
    assert robustness.accuracy["brightness"] < 0.2
    for kind, (low, high) in robustness.accuracy_ci95.items():
        assert low <= robustness.accuracy[kind] <= high


def test_measuring_many_images_is_bounded_and_goes_in_batches() -> None:
    sizes: list[int] = []

    def predict(pixels: np.ndarray) -> np.ndarray:
        sizes.append(len(pixels))
        return np.tile(np.array([[0.7, 0.3]], np.float32), (len(pixels), 1))

    few = make_examples(2, 1500, 0)
    many = Examples(few.pixels[:1].repeat(30_000, axis=0), np.arange(30_000), np.arange(30_000) % 2)
    found = evaluate_with(predict, many, few, few, make_labels(2), ["x"] * 1500, 0.9, 0)
    assert sum(sizes) == 2 * 1500 + MAX_TRAIN_MEASURED + len(CORRUPTIONS) * MAX_CORRUPTED
    assert max(sizes) <= 256 and found.corruption.images == MAX_CORRUPTED
    assert found.train_accuracy == pytest.approx(0.5, abs=0.02)


def test_mistakes_are_the_surest_wrong_answers_with_their_pictures() -> None:
    found = make_evaluation(TEN, 1000, skill=0.7)
    pictures = make_examples(10, 1000, 102)
    assert len(found.mistakes) == MAX_MISTAKES
    sure = [mistake.confidence for mistake in found.mistakes]
    assert sure == sorted(sure, reverse=True)
    probabilities = apply_temperature(
        shade_reader(10, 0, skill=0.7)(pictures.pixels[pictures.rows]), found.temperature
    )
    assert sure[0] == probabilities.max(axis=1)[~found.right].max()
    for mistake in found.mistakes:
        place = int(np.flatnonzero(pictures.rows == mistake.row)[0])
        assert mistake.true == pictures.truth[place] != mistake.predicted
        assert mistake.path == f"{TEN[mistake.true]}/{place}.jpg"


def test_model_without_mistakes_has_none_to_show() -> None:
    assert make_evaluation(make_labels(2), 100, skill=1000).mistakes == ()


def test_evaluating_again_gives_the_same_and_another_seed_other_noise() -> None:
    def found(seed: int) -> Evaluation:
        training, validation, test = (make_examples(10, 300, number) for number in range(3))
        return evaluate_with(shade_reader(10, 0), training, validation, test, TEN, ["x"] * 300, 0.8, seed)

    first, again, other = found(1), found(1), found(2)
    assert first.to_json() == again.to_json() and first.mistakes == again.mistakes
    assert first.metrics == other.metrics
    assert first.corruption.accuracy["noise"] != other.corruption.accuracy["noise"]


def test_evaluation_as_json_holds_what_metrics_json_promises() -> None:
    found = make_evaluation(TEN)
    record = json.loads(json.dumps(found.to_json()))
    assert record["accuracy"] == found.metrics.accuracy and record["gap"] == found.gap
    assert record["corruption"]["accuracy"].keys() == set(CORRUPTIONS)
    assert found.threshold is not None and record["threshold"]["value"] == found.threshold.value
    assert {"temperature", "ece_before", "ece", "stated_precision", "answered"} <= record.keys()
