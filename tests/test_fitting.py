from __future__ import annotations

import csv
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from edge_classify.benchmarks.scoring.confidence import fit_temperature, temperature_loss
from edge_classify.edge.errors import OptionError
from edge_classify.train import fitting
from edge_classify.train.augmentation import reseed
from edge_classify.train.checkpoint import COLUMNS, History, State
from edge_classify.train.dataset import Examples
from edge_classify.train.fitting import Diverged, fit, validate
from edge_classify.train.imbalance import class_weights, logit_offsets
from edge_classify.train.models import Architecture, build, build_to_train, in_float32
from edge_classify.train.phases import plan_phases
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from .support.report_data import epoch_row
from .support.tiny_network import tiny_built, tiny_task
from .support.train_options import make_architecture, make_options


def _validation_loss(model: Any, held: Examples, weights: NDArray[np.float32] | None = None) -> float:
    """The loss of a model on its own, without the network that it was fitted in."""
    probabilities = model.predict(held.pixels[held.rows].astype(np.float32), verbose=0)
    return validate(np.log(probabilities), held.truth, np.zeros(3, np.float32), weights)[0]


def _press_ctrl_c(patch: pytest.MonkeyPatch, phase: int, epoch: int) -> None:
    """Raise KeyboardInterrupt in the midst of that epoch, both counted from 1."""
    now = (0, 0)

    def note(trainer: Any, seed: int, *numbers: int) -> None:
        nonlocal now
        now = (numbers[0], numbers[1] + 1)
        reseed(trainer, seed, *numbers)

    def press(_: Any, batch: int, logs: Any = None) -> None:
        if now == (phase, epoch) and batch == 1:
            raise KeyboardInterrupt

    patch.setattr(fitting, "reseed", note)
    patch.setattr(fitting._Epochs, "on_train_batch_end", press)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the trainings that run in one go; activations are cached in it for all."""
    return tmp_path_factory.mktemp("fit")


@cache
def _in_one_go(
    folder: Path, pretrained: bool, imbalance: str, refit: bool | None = None
) -> tuple[list[Any], History]:
    # With augmentation, views are drawn in other groups where the validation images have some too.
    augment = {"augment": ()} if refit is not None else {}
    task = tiny_task(folder, tiny_built(pretrained), imbalance=imbalance, refit=bool(refit), **augment)
    history = fit(task)
    task.checkpoint.unlink()
    return task.built.model.get_weights(), history


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pretrained", "imbalance", "phase", "epoch"),
    [
        (False, "logit-adjustment", 1, 4),
        (True, "oversample", 1, 2),
        (True, "oversample", 2, 1),
        (True, "oversample", 2, 3),
    ],
)
def test_interrupted_fit_that_goes_on_ends_exactly_like_one_in_one_go(
    folder: Path, monkeypatch: pytest.MonkeyPatch, pretrained: bool, imbalance: str, phase: int, epoch: int
) -> None:
    weights, expected = _in_one_go(folder, pretrained, imbalance)
    with monkeypatch.context() as patch:
        _press_ctrl_c(patch, phase, epoch)
        first = tiny_task(folder, tiny_built(pretrained), imbalance=imbalance)
        interrupted = fit(first)
    done = (phase - 1) * 3 + epoch - 1
    assert interrupted.interrupted and interrupted.rows == expected.rows[:done]
    task = tiny_task(folder, tiny_built(pretrained), imbalance=imbalance)
    history = fit(task)
    task.checkpoint.unlink()
    assert not history.interrupted and history.rows == expected.rows
    assert history.trainable_parameters == expected.trainable_parameters
    assert all(map(np.array_equal, task.built.model.get_weights(), weights))


@pytest.mark.slow
@pytest.mark.parametrize("imbalance", ["none", "oversample"])
@pytest.mark.parametrize("epoch", [1, 3])
def test_refit_that_was_interrupted_is_left_out_and_goes_on_to_the_same_weights(
    folder: Path, monkeypatch: pytest.MonkeyPatch, imbalance: str, epoch: int
) -> None:
    before, _ = _in_one_go(folder, True, imbalance, refit=False)
    weights, expected = _in_one_go(folder, True, imbalance, refit=True)
    with monkeypatch.context() as patch:
        _press_ctrl_c(patch, 3, epoch)
        first = tiny_task(folder, imbalance=imbalance, refit=True, augment=())
        interrupted = fit(first)
    assert interrupted.interrupted and not interrupted.refitted and interrupted.before is None
    assert all(map(np.array_equal, first.built.model.get_weights(), before))
    task = tiny_task(folder, imbalance=imbalance, refit=True, augment=())
    history = fit(task)
    task.checkpoint.unlink()
    assert history.refitted and str(history.rows) == str(expected.rows)  # NaN is not equal to NaN.
    assert history.before is not None and all(map(np.array_equal, history.before, before))
    assert all(map(np.array_equal, task.built.model.get_weights(), weights))


def test_refit_keeps_the_weights_from_before_it(folder: Path) -> None:
    before, _ = _in_one_go(folder, True, "none", refit=False)
    after, history = _in_one_go(folder, True, "none", refit=True)
    assert history.before is not None and all(map(np.array_equal, history.before, before))
    assert not all(map(np.array_equal, after, before))
    assert history.best is history.rows[-1] and math.isnan(history.best["val_loss"])


def test_refit_whose_loss_is_no_number_leaves_the_model_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tiny_task(tmp_path, augment=())
    fit(before)
    before.checkpoint.unlink()
    monkeypatch.setattr(
        fitting,
        "plan_phases",
        lambda built, chosen: [
            replace(phase, learning_rate=math.inf if phase.refit else phase.learning_rate)
            for phase in plan_phases(built, chosen)
        ],
    )
    task = tiny_task(tmp_path, refit=True, augment=())
    history = fit(task)
    assert not history.refitted and history.best["phase"] < 3
    assert "diverged; the model before is kept" in capsys.readouterr().err
    assert all(map(np.array_equal, task.built.model.get_weights(), before.built.model.get_weights()))


def test_fit_interrupted_before_an_epoch_has_ended_leaves_a_start_from_which_it_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, expected = _in_one_go(folder, True, "oversample")
    with monkeypatch.context() as patch:
        _press_ctrl_c(patch, 1, 1)
        with pytest.raises(KeyboardInterrupt):
            fit(tiny_task(folder, imbalance="oversample"))
    task = tiny_task(folder, imbalance="oversample")
    assert fit(task).rows == expected.rows
    assert fit(task).rows == expected.rows  # What is done is not done again.
    task.checkpoint.unlink()


def test_fit_without_cached_activations_learns_the_same_but_for_rounding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    task = tiny_task(tmp_path, tiny_built(dropout=0.0), augment=())
    cached = fit(task)
    task.checkpoint.unlink()
    monkeypatch.setattr("edge_classify.train.activations.BUDGET", 0)
    whole = fit(tiny_task(tmp_path, tiny_built(dropout=0.0), augment=()))
    assert "the frozen part is run in every epoch" in capsys.readouterr().err
    for one, other in zip(cached.rows, whole.rows, strict=True):
        assert one == pytest.approx(other, abs=2e-3)


def test_checkpoint_of_another_network_is_refused_with_the_way_out(tmp_path: Path) -> None:
    task = tiny_task(tmp_path)
    task.checkpoint.write_bytes(State(phase=1, last=[np.zeros(3)], best=[np.zeros(3)]).to_bytes())
    with pytest.raises(OptionError, match=r"tiny\.checkpoint\.npz does not fit .* Start again with --force"):
        fit(task)


@pytest.fixture(scope="module")
def ruined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, History, Examples]:
    """A model whose phase 2 has a rate that ruins it, so that the best epoch lies in phase 1."""
    task = tiny_task(
        tmp_path_factory.mktemp("ruined"), learning_rate=(0.3, 1000.0), epochs=(3, 2), weight_decay=0.0
    )
    return task.built.model, fit(task), task.validation


def test_fit_leaves_the_best_epoch_of_both_phases_in_the_model(ruined: tuple[Any, History, Examples]) -> None:
    model, history, validation = ruined
    assert history.best["phase"] == 1
    assert history.rows[-1]["val_loss"] > history.best["val_loss"] + 0.01
    assert _validation_loss(model, validation) == pytest.approx(history.best["val_loss"], rel=1e-3)


def test_history_csv_has_the_documented_columns_and_a_row_an_epoch(
    ruined: tuple[Any, History, Examples],
) -> None:
    rows = list(csv.DictReader(ruined[1].to_csv().splitlines()))
    assert tuple(rows[0]) == COLUMNS
    phases = [("1", "1"), ("1", "2"), ("1", "3"), ("2", "1"), ("2", "2")]
    assert [(row["phase"], row["epoch"]) for row in rows] == phases
    assert [float(rows[number]["learning_rate"]) for number in (2, 4)] == [0, 0]  # The end of the cosine.
    assert all(math.isfinite(float(row[column])) for row in rows for column in COLUMNS)


def test_fit_counts_what_each_phase_trains(ruined: tuple[Any, History, Examples]) -> None:
    # By tiny_built: a head of 12 features and 3 classes; a convolution of 8 to 12 channels besides.
    assert ruined[1].trainable_parameters == [39, 39 + 3 * 3 * 8 * 12]


def test_validation_loss_counts_small_classes_like_large_ones_where_imbalance_is_treated(
    tmp_path: Path,
) -> None:
    task = tiny_task(tmp_path, imbalance="balanced", epochs=(2, 0), learning_rate=(0.3, 0.3))
    history = fit(task)
    even = class_weights("balanced", [12, 10, 4])
    weighted = _validation_loss(task.built.model, task.validation, even)
    assert history.best["val_loss"] == pytest.approx(weighted, rel=1e-3)
    assert weighted != pytest.approx(_validation_loss(task.built.model, task.validation), rel=1e-3)


def test_fit_stops_early_when_patience_is_used_up(tmp_path: Path) -> None:
    task = tiny_task(tmp_path, tiny_built(False), epochs=(40, 0), learning_rate=(1.0, 1.0), patience=2)
    losses = [row["val_loss"] for row in fit(task).rows]
    assert len(losses) < 40 and losses.index(min(losses)) == len(losses) - 3


def test_fit_whose_loss_is_no_number_stops_at_once_and_names_the_learning_rate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = tiny_task(tmp_path, tiny_built(False), epochs=(9, 0), learning_rate=(1e30, 1.0))
    with pytest.raises(Diverged, match=r"tiny diverged: its loss is nan\. Lower --learning-rate.*1e\+30"):
        fit(task)
    assert capsys.readouterr().err.count("epoch") <= 2
    assert not task.checkpoint.exists()  # Whoever goes on from it would diverge again.


def test_fit_with_phase_1_of_no_epochs_begins_with_phase_2(tmp_path: Path) -> None:
    history = fit(tiny_task(tmp_path, epochs=(0, 1)))
    assert [(row["phase"], row["epoch"]) for row in history.rows] == [(2, 1)]
    assert len(history.trainable_parameters) == 1


def test_best_epoch_is_the_lowest_validation_loss_that_is_a_number() -> None:
    history = History(
        [epoch_row(epoch=i, val_loss=loss) for i, loss in enumerate([math.nan, 2.0, 1.0, math.inf])]
    )
    assert history.best["epoch"] == 2


@pytest.mark.parametrize(("compute", "rounding"), [("float32", 1e-3), ("bfloat16", 0.2)])
def test_cnn_learns_and_ends_in_float32_whatever_it_is_trained_in(
    tmp_path: Path, compute: str, rounding: float
) -> None:
    options = make_options(compute=compute, epochs=(3, 0), dropout=0.0, image_size={"cnn": 16})
    architecture = Architecture.of("cnn", 3, options)
    built = build_to_train(architecture, compute, options.seed)
    convolution = built.model.layers[2]
    assert convolution.compute_dtype == compute and convolution.kernel.dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"
    task = tiny_task(tmp_path, built, compute=compute, epochs=(3, 0), augment=())
    before = built.model.get_weights()
    history = fit(task)
    model = in_float32(built, architecture, compute)
    assert not all(map(np.array_equal, before, model.get_weights()))
    assert all(map(np.array_equal, built.model.get_weights(), model.get_weights()))
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert _validation_loss(model, task.validation) == pytest.approx(history.best["val_loss"], rel=rounding)


def test_network_of_random_weights_is_built_the_same_from_the_same_seed() -> None:
    weights = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        weights.append(build(make_architecture("cnn")).model.get_weights()[0])
    assert np.array_equal(weights[0], weights[1]) and not np.array_equal(weights[0], weights[2])


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
    expected = temperature_loss(probabilities, truth, fit_temperature(probabilities, truth))
    assert validate(logits, truth, NONE, None)[0] == pytest.approx(expected, rel=1e-5)
    assert expected < temperature_loss(probabilities, truth, 4.0)


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
