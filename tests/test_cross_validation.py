"""A cross-validation repeats the whole training, shows no fold its own images, and survives interruptions."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from edge_classify.benchmarks.scoring.confidence import apply_temperature
from edge_classify.benchmarks.scoring.statistics import expected_calibration_error, measure
from edge_classify.edge.card import ModelCard
from edge_classify.edge.errors import OptionError
from edge_classify.train import augmentation_choice, cross_validation, one_model
from edge_classify.train.cache import open_cache
from edge_classify.train.checkpoint import History
from edge_classify.train.cross_validation import cross_validate
from edge_classify.train.dataset import prepare_audit, split_audited
from edge_classify.train.evaluation import Predict
from edge_classify.train.fitting import fit
from edge_classify.train.folds import plan_folds
from edge_classify.train.hyperparameters import choose_hyperparameters
from edge_classify.train.label_keeping import Effect, LabelKeeping
from edge_classify.train.output import UNFINISHED
from edge_classify.train.pooled import FoldAnswers, pool_answers
from edge_classify.train.task import Task
from numpy.typing import NDArray

from .support.train_options import make_options
from .support.training import CNN, MODEL_FILES, RUN_FILES, assert_same_runs, metrics, start, train

FOLDS = (*CNN[:-1], "3")
LABELS = ("a", "b", "c")


@pytest.fixture(scope="module")
def log(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training with three folds printed, beside its `run`."""
    folder = tmp_path_factory.mktemp("crossed")
    status, text = start(folder / "log", few, "-o", folder / "run", *FOLDS).wait()
    assert status == 0, text
    return folder / "log"


@pytest.fixture(scope="module")
def crossed(log: Path) -> Path:
    return log.with_name("run")


def _answers(rows: list[int], right: list[bool], **changes: Any) -> FoldAnswers:
    """Return answers of 0.8 to the class row % 3, or else to the next."""
    guess = [(row + (not known)) % 3 for row, known in zip(rows, right, strict=True)]
    raw = np.full((len(rows), 3), 0.1, np.float32)
    raw[np.arange(len(rows)), guess] = 0.8
    values: dict[str, Any] = {"split": "s", "rows": np.array(rows), "raw": raw, "temperature": 1.0,
                              "threshold": None, "training_images": 7}  # fmt: skip
    return FoldAnswers(**{**values, **changes})


TRUTH = np.arange(12) % 3


def test_pooled_figure_counts_every_image_once_in_the_order_of_the_data_set() -> None:
    # By hand: 2 of 3 and 1 of 2 are right.
    pooled = pool_answers(
        [_answers([5, 0, 3], [True, True, False]), _answers([4, 1], [False, True])], TRUTH, LABELS
    )
    assert pooled.right.tolist() == [True, True, False, False, True]  # Rows 0, 1, 3, 4, 5.
    assert (pooled.metrics.images, pooled.metrics.accuracy) == (5, 3 / 5)
    assert [(fold.right, fold.images) for fold in pooled.folds] == [(2, 3), (1, 2)]
    assert pooled.spread == (1 / 2, 2 / 3)
    assert pooled.origin == "5 images, each tested once by one of 2 models trained as this one"
    # Wilson's interval of 3 of 5 (binom.confint of R, method "wilson").
    assert pooled.metrics.accuracy_ci95 == pytest.approx((0.2307, 0.8824), abs=1e-4)


def test_pooled_calibration_uses_the_temperature_of_each_fold() -> None:
    one, other = _answers([0, 1, 2], [True] * 3), _answers([3, 4], [False, True], temperature=2.0)
    pooled = pool_answers([one, other], TRUTH, LABELS)
    probabilities = np.concatenate([one.raw, apply_temperature(other.raw, 2.0)])
    raw = np.concatenate([one.raw, other.raw])
    assert pooled.metrics == measure(probabilities, TRUTH[:5], LABELS)
    assert pooled.ece_before == expected_calibration_error(raw, TRUTH[:5]) != pooled.metrics.ece


def test_threshold_of_a_fold_holds_for_its_own_images_and_includes_its_value() -> None:
    sure = float(_answers([0], [True]).probabilities.max())
    inside = _answers([0, 1], [True, False], threshold=sure)
    above = _answers([2, 3, 4], [True] * 3, threshold=np.nextafter(sure, 1.0))
    without = _answers([5], [True])
    pooled = pool_answers([inside, above, without], TRUTH, LABELS)
    # By hand: both of the first fold and that without a threshold are answered, and two of the three right.
    assert (pooled.answered.coverage, pooled.answered.precision) == (3 / 6, 2 / 3)


@pytest.mark.parametrize("threshold", [None, 0.75])
def test_answers_written_and_read_again_are_the_same(tmp_path: Path, threshold: float | None) -> None:
    answers = _answers([4, 2], [True, False], threshold=threshold, temperature=1.7)
    answers.write(tmp_path / "1.npz")
    again = FoldAnswers.read(tmp_path / "1.npz", "s")
    assert again is not None
    for name, value in answers.__dict__.items():
        assert np.array_equal(getattr(again, name), value), name
    assert FoldAnswers.read(tmp_path / "1.npz", "another split") is None


def test_damaged_answers_are_said_to_be_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "1.npz"
    assert FoldAnswers.read(path, "s") is None and capsys.readouterr().err == ""
    _answers([4, 2], [True, False]).write(path)
    whole = path.read_bytes()
    for content in (b"", whole[:100], whole.replace(np.float32(0.8).tobytes(), bytes(4))):
        path.write_bytes(content)
        assert FoldAnswers.read(path, "s") is None
        assert "is damaged" in capsys.readouterr().err


class _Memorizer:
    """In place of the training: knows the images that it was given, and is wrong about all others."""

    def __init__(self) -> None:
        self.truth: dict[bytes, int] = {}
        self.known: set[bytes] = set()

    def fit(self, task: Task) -> History:
        self.known = {image.tobytes() for e in (task.train, task.validation) for image in e.pixels[e.rows]}
        return History()

    def predictor(self, _: Any) -> Predict:
        def predict(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            names = [image.tobytes() for image in pixels]
            guess = [(self.truth[name] + (name not in self.known)) % 3 for name in names]
            return np.where(np.eye(3)[guess], 0.98, 0.01).astype(np.float32)

        return predict


def test_model_that_memorizes_what_it_is_given_knows_no_image_of_its_fold(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, counts = _Memorizer(), []

    def choose(name: str, options: Any, of_classes: list[int]) -> Any:
        counts.append(of_classes)
        return choose_hyperparameters(name, options, of_classes)

    monkeypatch.setattr(one_model, "fit", memory.fit)
    monkeypatch.setattr(one_model, "choose_hyperparameters", choose)
    for module in (cross_validation, one_model):
        monkeypatch.setattr(module, "predictor", memory.predictor)
    options = make_options(models=("cnn",), folds=3, answer_precision=0.3)
    with open_cache("none", tmp_path, few) as cache:
        audited = prepare_audit(str(few), tmp_path, cache, options)
        folds = plan_folds(audited, split_audited(audited))
        pixels = folds[0].pixels[32]
        memory.truth = {
            image.tobytes(): int(true) for image, true in zip(pixels, folds[0].truth, strict=True)
        }
        assert len(memory.truth) == 18
        pooled = cross_validate("cnn", folds, tmp_path, options, cache)
    assert (pooled.metrics.images, pooled.metrics.accuracy) == (18, 0.0)
    assert len(pooled.right) == 18 and not pooled.right.any()
    # All validation images are right, so there is nothing to fit; on the fold's own, the temperature is 20.
    assert [fold.temperature for fold in pooled.folds] == [1.0] * 3
    assert all(fold.threshold is not None for fold in pooled.folds)
    # The help for small classes is chosen by the images that are trained on.
    assert counts == [[3, 3, 3]] * 3 and [fold.training_images for fold in pooled.folds] == [9] * 3


@pytest.mark.slow
def test_augmentation_of_each_fold_is_chosen_by_the_images_that_it_trains_on(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pretended measurement shows mirroring to keep the labels in the second and the fourth data set."""
    measured: list[list[int]] = []
    trained: dict[str, tuple[list[int], bool]] = {}

    def measure_rows(
        changes: Any, _pixels: Any, rows: NDArray[np.int64], *_: Any
    ) -> tuple[LabelKeeping, ...]:
        measured.append(sorted(rows.tolist()))
        effects = (Effect.UNKNOWN if len(measured) % 2 else Effect.KEEPS, Effect.UNKNOWN)
        return tuple(
            LabelKeeping(change, effect, 9, 1.0, 1.0, (0.0, 0.0), 0.05, None, "few images")
            for change, effect in zip(changes, effects, strict=True)
        )

    def watch(task: Task) -> History:
        trained[task.note] = sorted(task.train.rows.tolist()), "flip" in task.hyperparameters.augment
        return fit(task)

    monkeypatch.setattr(augmentation_choice, "measure_label_keeping", measure_rows)
    monkeypatch.setattr(one_model, "fit", watch)
    result = train(few, "-o", tmp_path / "run", *FOLDS)
    assert result.exit_code == 0, result.output
    notes = ["", " fold 1/3", " fold 2/3", " fold 3/3"]
    assert trained == {
        note: (rows, number % 2 == 1) for number, (note, rows) in enumerate(zip(notes, measured, strict=True))
    }
    assert len({tuple(rows) for rows in measured}) == 4


def test_model_that_ships_is_the_one_that_is_trained_without_folds(crossed: Path, small_run: Path) -> None:
    load: Any = keras.models.load_model
    ours, theirs = (load(run / "cnn" / "model.keras").get_weights() for run in (crossed, small_run))
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert (crossed / "split.json").read_bytes() == (small_run / "split.json").read_bytes()
    assert metrics(small_run, "cnn")["cross_validation"] is None
    assert {**metrics(crossed, "cnn"), "cross_validation": None} == metrics(small_run, "cnn")
    card, plain = (ModelCard.from_json((run / "cnn/card.json").read_bytes()) for run in (crossed, small_run))
    assert card.training is not None and plain.training is not None
    assert plain.training.cross_validation is None
    assert replace(card, training=plain.training) == plain
    assert replace(card.training, cross_validation=None) == plain.training


def test_run_says_of_what_the_figure_is(crossed: Path, log: Path) -> None:
    found = metrics(crossed, "cnn")["cross_validation"]
    origin = "18 images, each tested once by one of 3 models trained as this one"
    assert found["of"] == origin and found["images"] == np.sum(found["confusion"]) == 18
    assert found["accuracy"] == np.trace(found["confusion"]) / 18
    assert [fold["images"] for fold in found["folds"]] == [6, 6, 6]
    assert sum(fold["right"] for fold in found["folds"]) == np.trace(found["confusion"])
    card = ModelCard.from_json((crossed / "cnn" / "card.json").read_bytes())
    assert card.training is not None and card.training.cross_validation is not None
    in_card = card.training.cross_validation
    assert (in_card.folds, in_card.images, in_card.top1) == (3, 18, found["accuracy"])
    assert (in_card.macro_f1, in_card.ece) == (found["macro_f1"], found["ece"])
    text = log.read_text(encoding="utf-8")
    assert f" on {origin}\n" in text and " on 3 test images" in text
    for fold in (1, 2, 3):
        assert sum(f"fold {fold}/3" in line for line in text.splitlines()) == 1
    assert text.count("epoch 1/1") == 1  # Of the model that ships.
    assert origin in (crossed / "report.html").read_text(encoding="utf-8")
    assert {path.name for path in crossed.iterdir()} == {*RUN_FILES, "cnn"}
    assert {path.name for path in (crossed / "cnn").iterdir()} == MODEL_FILES


@pytest.mark.slow
def test_run_killed_and_interrupted_between_folds_goes_on_to_the_same_figures(
    few: Path, tmp_path: Path, crossed: Path
) -> None:
    run = tmp_path / "run"
    first = start(tmp_path / "1", few, "-o", run, *FOLDS, at="cnn fold 1/3", send=signal.SIGKILL)
    assert first.wait()[0] == -signal.SIGKILL
    status, text = start(tmp_path / "2", "--resume", run, at="cnn fold 2/3", send=signal.SIGINT).wait()
    assert status == 130 and "Interrupted in the cross-validation of cnn: the trained models are kept" in text
    assert f"Continue with: edge-train --resume {run}\n" in text and "fold 1/3" not in text
    assert {path.name for path in run.iterdir()} == {*RUN_FILES, "cnn", UNFINISHED}
    assert {path.name for path in (run / "cnn").iterdir()} == MODEL_FILES
    assert metrics(run, "cnn")["cross_validation"] is None
    status, text = start(tmp_path / "3", "--resume", run).wait()
    assert status == 0, text
    assert "fold 3/3" in text and "fold 2/3" not in text
    assert_same_runs(run, crossed, ("cnn",))


@pytest.mark.slow
def test_fold_that_diverges_keeps_the_model_and_fails(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(task: Task) -> History:
        if task.note == " fold 2/3":
            raise OptionError("The training of cnn fold 2/3 diverged")
        return fit(task)

    monkeypatch.setattr(one_model, "fit", diverge)
    result = train(few, "-o", tmp_path / "run", *FOLDS, "--json")
    assert result.exit_code == 1
    assert "fold 2/3 diverged. cnn is kept, without a cross-validation" in result.output
    record = json.loads(next(line for line in result.output.splitlines() if line.startswith("{")))
    assert record["cross_validation"] is None
    assert {path.name for path in (tmp_path / "run").iterdir()} == {*RUN_FILES, "cnn"}
