from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from edge_classify.benchmarks.statistics import cross_entropy
from edge_classify.edge.errors import OptionError
from edge_classify.train.fitting import COLUMNS, Batches, Examples, History, balanced_weights, fit
from edge_classify.train.models import build
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from .train_options import make_options


def _examples(count: int, seed: int, classes: int = 3) -> Examples:
    """Pictures whose class is their strongest colour, in rows of a larger array in another order."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % classes
    rows = rng.permutation(count * 2)[:count]
    pixels = rng.integers(0, 160, (count * 2, 32, 32, 3)).astype(np.uint8)
    pixels[rows, :, :, truth] += 80
    return Examples(pixels, rows, truth)


def _fit(folder: Path, **changes: Any) -> tuple[Any, History]:
    options = make_options(**{"augment": (), **changes})
    keras.utils.set_random_seed(options.seed)
    built = build("cnn", 3, options)
    return built.model, fit(built, _examples(24, 0), _examples(12, 1), 3, options, folder)


def _validation_loss(model: Any) -> float:
    held = _examples(12, 1)
    return cross_entropy(model.predict(held.pixels[held.rows].astype(np.float32), verbose=0), held.truth)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_balanced_weights_of_any_classes_equal_scikit_learns(classes: list[int]) -> None:
    truth = np.array([*range(5), *classes])
    expected = compute_class_weight("balanced", classes=np.arange(5), y=truth)
    assert balanced_weights(truth, 5) == pytest.approx(expected, rel=1e-6)


def test_batches_with_a_seed_hold_every_image_once_in_a_new_order_each_epoch() -> None:
    examples = _examples(10, 0)
    orders = []
    batches, again = Batches(examples, 4, None, 7), Batches(examples, 4, None, 7)
    for _ in range(3):
        pixels = np.concatenate([batches[i][0] for i in range(len(batches))])
        truth = np.concatenate([batches[i][1] for i in range(len(batches))])
        assert np.array_equal(pixels, np.concatenate([again[i][0] for i in range(len(again))]))
        assert pixels.dtype == np.float32 and pixels.max() > 1
        # Each picture comes with its own class: the strongest colour.
        assert np.array_equal(pixels.mean((1, 2)).argmax(1), truth)
        orders.append(tuple(pixels[:, 0, 0, 0]))
        assert sorted(orders[-1]) == sorted(examples.pixels[examples.rows, 0, 0, 0])
        batches.on_epoch_end()
        again.on_epoch_end()
    assert len(set(orders)) == 3


def test_batches_without_a_seed_keep_the_order_and_carry_the_weights_of_the_classes() -> None:
    examples = _examples(5, 0)
    batches = Batches(examples, 2, np.array([0.5, 1, 2], np.float32), None)
    assert [len(batches[i][0]) for i in range(len(batches))] == [2, 2, 1]
    batches.on_epoch_end()
    assert np.array_equal(batches[1][0], examples.pixels[examples.rows[2:4]])
    assert batches[1][1].tolist() == [2, 0] and batches[1][2].tolist() == [2, 0.5]


def test_best_epoch_is_the_lowest_validation_loss_that_is_a_number() -> None:
    history = History(
        [{"epoch": i, "val_loss": loss} for i, loss in enumerate([math.nan, 2.0, 1.0, math.inf])]
    )
    assert history.best["epoch"] == 2


@pytest.fixture(scope="module")
def ruined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, History]:
    """A model whose phase 2 has a rate that ruins it, so that the best epoch lies in phase 1."""
    return _fit(tmp_path_factory.mktemp("fit"), epochs=(3, 2), learning_rate=(1e-3, 3.0))


def test_fit_leaves_the_weights_of_the_best_epoch_of_both_phases(ruined: tuple[Any, History]) -> None:
    model, history = ruined
    assert [row["phase"] for row in history.rows] == [1, 1, 1, 2, 2]
    assert history.best["phase"] == 1
    assert history.rows[-1]["val_loss"] > 2 * history.best["val_loss"]
    assert _validation_loss(model) == pytest.approx(history.best["val_loss"], rel=1e-4)


def test_fit_stops_early_when_patience_is_used_up(tmp_path: Path) -> None:
    _, history = _fit(tmp_path, epochs=(40, 0), learning_rate=(0.05, 0.0), patience=2)
    losses = [row["val_loss"] for row in history.rows]
    assert len(losses) < 40 and losses.index(min(losses)) == len(losses) - 3


def test_fit_with_phase_1_of_no_epochs_begins_with_phase_2(tmp_path: Path) -> None:
    _, history = _fit(tmp_path, epochs=(0, 1))
    assert [(row["phase"], row["epoch"]) for row in history.rows] == [(2, 1)]
    assert len(history.trainable_parameters) == 1


def test_fit_whose_loss_is_no_number_names_the_learning_rate(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"cnn diverged: its loss is nan\. Lower --learning-rate.*1e\+30"):
        _fit(tmp_path, epochs=(2, 0), learning_rate=(1e30, 0.0))


def test_history_csv_has_the_documented_columns_and_a_row_an_epoch(ruined: tuple[Any, History]) -> None:
    rows = list(csv.DictReader(ruined[1].to_csv().splitlines()))
    assert tuple(rows[0]) == COLUMNS
    phases = [("1", "1"), ("1", "2"), ("1", "3"), ("2", "1"), ("2", "2")]
    assert [(row["phase"], row["epoch"]) for row in rows] == phases
    assert [float(row["learning_rate"]) for row in rows] == [1e-3] * 3 + [3.0] * 2
    assert all(math.isfinite(float(row[column])) for row in rows for column in COLUMNS)
