from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import keras
import pytest
from edge_classify.benchmarks.scoring.split import Split
from edge_classify.train.one_model import library_versions
from edge_classify.train.output import UNFINISHED
from edge_classify.train.request import TrainingRequest
from edge_classify.train.weights import build_base

from .support.train_options import make_options
from .support.training import MODEL_FILES, RUN_FILES, assert_same_runs, metrics, start, train, tree

BOTH = ("cnn", "mobilenet_v2")


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Options for both models and both phases of the second, whose initial weights come from a file."""
    weights = tmp_path_factory.mktemp("weights") / "base.weights.h5"
    keras.utils.set_random_seed(1)
    build_base("mobilenet_v2", "none", 32, 0.35).network.save_weights(weights)
    return ("--model", "cnn", "--model", "mobilenet_v2", "--image-size", "32", "--epochs", "2,2",
            "--alpha", "0.35", "--weights", str(weights), "--fine-tune-layers", "20", "--batch-size", "8",
            "--seed", "5", "--folds", "0", "--compute", "float32")  # fmt: skip


@pytest.fixture(scope="module")
def data(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that a test may change, and change back."""
    return shutil.copytree(few, tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(scope="module")
def uninterrupted(data: Path, options: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    status, text = start(folder / "log", data, "-o", folder / "run", *options).wait()
    assert status == 0, text
    return folder / "run"


@pytest.mark.slow
def test_run_killed_in_every_phase_and_resumed_is_the_run_that_was_never_killed(
    data: Path, tmp_path: Path, options: tuple[str, ...], uninterrupted: Path
) -> None:
    run, arguments = tmp_path / "run", (str(data), "-o", str(tmp_path / "run"), *options)
    for line in (
        "cnn phase 1  epoch 3/4",
        "mobilenet_v2 phase 1  epoch 2/2",
        "mobilenet_v2 phase 2  epoch 1/2",
        "mobilenet_v2: measuring",
    ):
        status, text = start(tmp_path / "log", *arguments, at=line, send=signal.SIGKILL).wait()
        assert status == -signal.SIGKILL, text
        assert [path.name for path in run.iterdir()] == [UNFINISHED]
        refused = train(data, "-o", run, *options)
        assert refused.exit_code == 1
        assert f"Continue it with: edge-train --resume {run}; or start again with --force" in refused.output
        arguments = ("--resume", str(run))
    status, text = start(tmp_path / "log", *arguments).wait()
    assert status == 0, text
    assert "cnn: was trained before the interruption" in text
    assert text.count("cnn phase 1  epoch 1/4") == 1  # It was not begun anew.
    assert_same_runs(run, uninterrupted, BOTH)
    assert "there is no unfinished training" in train("--resume", run).output


@pytest.mark.slow
def test_run_interrupted_in_both_models_keeps_the_best_so_far_and_goes_on_to_the_same_result(
    data: Path, tmp_path: Path, options: tuple[str, ...], uninterrupted: Path
) -> None:
    run = tmp_path / "my run"
    process = start(
        tmp_path / "1", data, "-o", run, *options, at="cnn phase 1  epoch 2/4", send=signal.SIGSTOP
    )
    process.wait_for("cnn phase 1  epoch 2/4")
    for again in ((data, "-o", run, *options), (data, "-o", run, *options, "--force"), ("--resume", run)):
        refused = train(*again)
        assert refused.exit_code == 1 and f"Another edge-train is writing {run}" in refused.output
    process.send(signal.SIGINT)
    process.send(signal.SIGCONT)
    status, text = process.wait()
    assert status == 130 and "Interrupted: keeping the best of 2 epochs of cnn" in text
    assert text.endswith(f"Report: {run / 'report.html'}\n")
    assert f"Continue with: edge-train --resume '{run}'\n" in text
    assert {path.name for path in run.iterdir()} == {*RUN_FILES, "cnn", UNFINISHED}
    assert {path.name for path in (run / "cnn").iterdir()} == MODEL_FILES
    assert metrics(run, "cnn")["interrupted"] is True and metrics(run, "cnn")["epochs"] == 2
    assert "cnn was interrupted" in (run / "report.html").read_text(encoding="utf-8")

    # Before the model is again what it was at the interruption, there is nothing better to keep.
    before = _published(run)
    status, text = start(tmp_path / "2", "--resume", run, at="cnn: ", send=signal.SIGINT).wait()
    assert status == 130 and f"Continue with: edge-train --resume '{run}'\n" in text
    assert _published(run) == before

    status, text = start(
        tmp_path / "3", "--resume", run, at="mobilenet_v2 phase 1  epoch 2/2", send=signal.SIGINT
    ).wait()
    assert status == 130 and "Interrupted: keeping the best of 2 epochs of mobilenet_v2" in text
    assert {path.name for path in run.iterdir()} == {*RUN_FILES, *BOTH, UNFINISHED}
    assert metrics(run, "cnn") == metrics(uninterrupted, "cnn")

    status, text = start(tmp_path / "4", "--resume", run).wait()
    assert status == 0, text
    assert_same_runs(run, uninterrupted, BOTH)


def _published(run: Path) -> dict[str, bytes]:
    return {name: data for name, data in tree(run).items() if not name.startswith(UNFINISHED)}


def _begun(run: Path, images: Path, **changes: Any) -> Path:
    """Write what a killed training on `images` leaves in `run`, and return the file of its request."""
    work = run / UNFINISHED
    work.mkdir(parents=True)
    values: dict[str, Any] = {
        "data": str(images),
        "options": make_options(models=("cnn",)),
        "command": "edge-train",
        "folder": str(images.parent),
        "versions": library_versions(),
    }
    TrainingRequest(**{**values, **changes}).write(work)
    return work / "request.json"


def test_images_that_changed_since_the_training_began_are_refused_and_the_checkpoint_stays(
    few: Path, tmp_path: Path
) -> None:
    request = _begun(tmp_path / "run", few, split_sha256="0" * 64)
    checkpoint = request.with_name("cnn.checkpoint.npz")
    checkpoint.write_bytes(b"weights")
    result = train("--resume", tmp_path / "run")
    assert result.exit_code == 1
    assert (
        f"{few} has changed since the training began: images were added, removed or altered" in result.output
    )
    assert checkpoint.read_bytes() == b"weights" and request.is_file()


def test_run_killed_while_it_was_moved_to_its_place_is_moved_on(
    few: Path, small_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    request = _begun(run, few, finished=("cnn",), split_sha256=Split.read(small_run).sha256)
    for number, path in enumerate(sorted((small_run / "cnn").iterdir())):
        place = (request.parent if number % 2 else run) / "cnn"
        place.mkdir(exist_ok=True)
        shutil.copy(path, place)
    assert train("--resume", run).exit_code == 0
    assert_same_runs(run, small_run, ("cnn",))


@pytest.mark.slow
def test_finished_model_that_was_deleted_since_is_said_to_be_trained_again(
    few: Path, small_run: Path, tmp_path: Path
) -> None:
    _begun(
        tmp_path / "run", few, finished=("cnn",), split_sha256=Split.read(small_run).sha256,
        options=make_options(models=("cnn",), epochs=(1, 0), weights="none"),
    )  # fmt: skip
    result = train("--resume", tmp_path / "run")
    assert result.exit_code == 0
    assert "cnn: was trained before the interruption, but is missing: it is trained again" in result.output
    assert {path.name for path in (tmp_path / "run" / "cnn").iterdir()} == MODEL_FILES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": 99}', "was begun by another version of edge-classify. Start again with --force"),
        ("", "cannot be used ("),
        ("null", "cannot be used ("),
        ("[1]", "cannot be used ("),
        ('{"format": 1}', "was begun by another version of edge-classify. Start again with --force"),
        ('{"format": 2}', "cannot be used ("),
        ('{"format": 2, "options": 3, "finished": []}', "cannot be used ("),
        ('{"format": 2, "options": {"models": []}, "finished": []}', "cannot be used ("),
        ('{"format": 2, "opt', "cannot be used ("),
    ],
)
def test_damaged_request_ends_in_one_sentence(few: Path, tmp_path: Path, text: str, message: str) -> None:
    _begun(tmp_path / "run", few).write_text(text)
    before = tree(tmp_path)
    result = train("--resume", tmp_path / "run")
    assert result.exit_code == 1 and message in result.output and "--force" in result.output
    assert tree(tmp_path) == before


def test_resume_of_what_is_no_unfinished_training_ends_in_one_sentence(
    few: Path, small_run: Path, tmp_path: Path
) -> None:
    for folder in (small_run, few, tmp_path / "absent"):
        before = tree(folder)
        result = train("--resume", folder)
        assert result.exit_code == 1
        assert result.output.startswith(f"Error: --resume {folder}: there is no unfinished training.")
        assert tree(folder) == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("args", "name"),
    [
        (("data",), "DATA"),
        (("--seed", "0"), "--seed"),
        (("-o", "run"), "--output"),
        (("--audit-only",), "--audit-only"),
        (("--force",), "--force"),
    ],
)
def test_resume_with_anything_but_json_is_a_usage_error(
    few: Path, tmp_path: Path, args: tuple[str, ...], name: str
) -> None:
    _begun(tmp_path / "run", few)
    result = train("--resume", tmp_path / "run", *args)
    assert result.exit_code == 2 and f"{name} does not go with --resume" in result.output


def test_resume_from_another_folder_names_the_one_where_the_relative_data_are(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _begun(tmp_path / "run", few, data=few.name)
    monkeypatch.chdir(tmp_path)
    result = train("--resume", "run")
    assert (
        result.exit_code == 1
        and f"Give --resume in the folder where the training began: {few.parent}"
        in (result.output.replace("\n", ""))
    )
