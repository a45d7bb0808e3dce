from __future__ import annotations

import json
import math
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import pytest
from edge_classify.edge.errors import OptionError
from edge_classify.train import tuning
from edge_classify.train.cache import Cache
from edge_classify.train.fitting import Diverged
from edge_classify.train.options import TrainOptions
from edge_classify.train.output import TRIALS, UNFINISHED, trials_of
from edge_classify.train.search_space import SEARCHED
from edge_classify.train.task import Task
from edge_classify.train.trials import COMPLETE, DIVERGED, PRUNED, Trial, read_trials
from edge_classify.train.weights import build_base

from .support.report_data import epoch_row
from .support.train_options import COUNTS, LEFT_OPEN, make_options
from .support.training import CNN, assert_same_runs, start, train


class Pretended:
    """Stands in for the training of a trial, whose losses follow from the hyperparameters alone."""

    def __init__(self, losses: Callable[[Task], Sequence[float]]) -> None:
        self.losses = losses
        self.tasks: list[Task] = []

    def __call__(self, task: Task) -> None:
        self.tasks.append(task)
        assert task.on_epoch is not None
        losses = self.losses(task)
        for epoch, loss in enumerate(losses, 1):
            if task.on_epoch(epoch_row(epoch=epoch, val_loss=loss)):
                return
        if not any(map(math.isfinite, losses)):
            raise Diverged("diverged")


def _far_from(best: float) -> Callable[[Task], Sequence[float]]:
    """Return losses that are lower the nearer the learning rate is to `best`."""

    def losses(task: Task) -> Sequence[float]:
        far = abs(math.log(task.hyperparameters.learning_rate[0] / best))
        return [far + 1 / epoch for epoch in range(1, task.hyperparameters.epochs[0] + 1)]

    return losses


@pytest.fixture
def search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[TrainOptions, list[Trial]]]:
    """Run a search over pretended trainings, and return its result and its trials."""
    data: Any = SimpleNamespace(
        split=SimpleNamespace(labels=("a", "b", "c")),
        examples=lambda *_: None,
        pooled=lambda size: None,
    )
    monkeypatch.setattr(tuning, "build_to_train", lambda *_: None)

    def run(folder: str, pretended: Pretended, **changes: Any) -> tuple[TrainOptions, list[Trial]]:
        work = tmp_path / folder
        work.mkdir(exist_ok=True)
        monkeypatch.setattr(tuning, "fit", pretended)
        options = make_options(**{**LEFT_OPEN, "epochs": (24, 0), "tune": 12, **changes})
        tuned = tuning.tune("cnn", data, work, options, COUNTS, Cache(work, 10**9))
        return tuned, read_trials(trials_of(work, "cnn"))

    return run


@pytest.mark.slow
def test_search_with_the_same_seed_has_the_same_trials_also_after_every_interruption(search: Any) -> None:
    losses = _far_from(0.01)
    tuned, trials = search("whole", Pretended(losses))
    for number in range(1, 13):
        again = Pretended(losses)
        parts = search("in parts", again, tune=number)
        assert len(again.tasks) == 1  # Those that are done count.
    assert parts[1] == trials
    assert replace(parts[0], tune=0) == replace(tuned, tune=0)
    assert search("other seed", Pretended(losses), seed=1)[1][1:] != trials[1:]


@pytest.mark.slow
def test_search_ends_with_values_that_are_better_than_those_it_began_with(search: Any) -> None:
    tuned, trials = search("work", Pretended(_far_from(0.01)), tune=15)
    best = min((t for t in trials if t.state == COMPLETE), key=lambda trial: trial.loss)
    assert abs(math.log(best.values["learning_rate"] / 0.01)) < 0.5 < abs(math.log(0.002 / 0.01))
    assert best.values == {
        **{name: getattr(tuned, name) for name in trials[0].values},
        "learning_rate": tuned.learning_rate[0],
    }


@pytest.mark.slow
def test_trial_of_a_model_from_random_weights_takes_a_part_of_the_epochs_and_stops_above_the_median(
    search: Any,
) -> None:
    pretended = Pretended(_far_from(0.01))
    _, trials = search("work", pretended)
    assert {task.hyperparameters.epochs for task in pretended.tasks} == {(6, 0)}
    assert all(trial.state == COMPLETE for trial in trials[:5])
    stopped = [trial for trial in trials if trial.state == PRUNED]
    assert stopped and all(2 <= len(trial.losses) < 6 for trial in stopped)


@pytest.mark.slow
def test_trial_that_diverges_is_no_result_and_if_all_do_the_option_is_named(search: Any) -> None:
    def beyond(limit: float) -> Callable[[Task], Sequence[float]]:
        return lambda task: [math.nan if task.hyperparameters.learning_rate[0] > limit else 1.0] * 3

    tuned, trials = search("some", Pretended(beyond(0.003)))
    assert {DIVERGED, COMPLETE} <= {trial.state for trial in trials}
    assert tuned.learning_rate[0] <= 0.003
    with pytest.raises(OptionError, match=r"All 2 trials of cnn diverged\. Give a lower --learning-rate"):
        search("all", Pretended(beyond(0)), tune=2)


def test_tune_without_optuna_names_the_extra_and_writes_nothing(
    tmp_path: Path, few: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    result = train(few, "-o", tmp_path / "run", "--tune", "2", *CNN)
    assert result.exit_code == 1
    assert '--tune needs optuna, which is not installed. Run: pip install "' in result.output
    assert not (tmp_path / "run").exists()


SEARCH = (*CNN, "--tune", "3", "--cache", "none", "--seed", "3", "--compute", "float32", "--batch-size", "8")


@pytest.fixture(scope="module")
def searched(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searched")
    status, text = start(folder / "log", few, "-o", folder / "run", *SEARCH).wait()
    assert status == 0, text
    assert [f"cnn trial {number}/3: " in text for number in (1, 2, 3)] == [True] * 3
    assert text.count("cnn phase 1  epoch") == 1  # Trials have no line for each epoch.
    return folder / "run"


@pytest.mark.slow
def test_model_after_a_search_is_the_one_that_its_best_values_give(
    few: Path, searched: Path, tmp_path: Path
) -> None:
    trials = read_trials(searched / "cnn" / TRIALS)
    assert len(trials) == 3 and "batch_size" not in trials[0].values
    best = min(trials, key=lambda trial: trial.loss)
    card = json.loads((searched / "cnn" / "card.json").read_text())["training"]["options"]
    assert card["tune"] == 3 and card["dropout"] == best.values["dropout"]
    assert "Search for cnn: trial " in (searched / "report.html").read_text()
    given = [text for name, value in best.values.items() if name != "learning_rate"
             for text in (f"--{name.replace('_', '-')}", value)]  # fmt: skip
    rates = ",".join(map(str, card["learning_rate"]))
    place = SEARCH.index("--tune")
    plain = (*SEARCH[:place], *SEARCH[place + 2 :])
    result = train(few, "-o", tmp_path / "run", *plain, *given, "--learning-rate", rates)
    assert result.exit_code == 0, result.output
    models = [keras.models.load_model(run / "cnn" / "model.keras") for run in (searched, tmp_path / "run")]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        assert (one == other).all()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_search_that_was_stopped_goes_on_to_the_same_run(
    few: Path, searched: Path, tmp_path: Path, number: signal.Signals
) -> None:
    run = tmp_path / "run"
    status, text = start(tmp_path / "log", few, "-o", run, *SEARCH, at="cnn trial 2/3", send=number).wait()
    assert status == (130 if number == signal.SIGINT else -number), text
    assert [path.name for path in run.iterdir()] == [UNFINISHED]
    assert len(read_trials(trials_of(run / UNFINISHED, "cnn"))) == 2
    assert number == signal.SIGKILL or f"Continue with: edge-train --resume {run}" in text
    (tmp_path / "log").unlink()
    status, text = start(tmp_path / "log", "--resume", run).wait()
    assert status == 0, text
    assert "2 of 3 trials were done before the interruption" in text and "trial 2/3" not in text
    assert_same_runs(run, searched, ("cnn",))
    assert (run / "cnn" / TRIALS).read_bytes() == (searched / "cnn" / TRIALS).read_bytes()


@pytest.mark.slow
def test_search_for_a_backbone_runs_its_frozen_part_once_for_all_trials_and_the_training(
    few: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "base.weights.h5"
    keras.utils.set_random_seed(1)
    build_base("mobilenet_v2", "none", 32, 0.35).network.save_weights(weights)
    result = train(
        few, "-o", tmp_path / "run", "--model", "mobilenet_v2", "--image-size", "32", "--alpha", "0.35",
        "--weights", weights, "--epochs", "3,0", "--folds", "0", "--tune", "3", "--cache", tmp_path / "cache",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    # One for the images of the trials, and one for the validation images, which the refit learns.
    assert len(list((tmp_path / "cache" / "features").glob("*/entry.json"))) == 2
    trials = read_trials(tmp_path / "run" / "mobilenet_v2" / TRIALS)
    assert {len(trial.losses) for trial in trials} == {3}
    assert set(trials[0].values) == set(SEARCHED)
