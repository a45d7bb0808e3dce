from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from edge_classify.benchmarks.scoring.split import Split
from edge_classify.edge.errors import OptionError
from edge_classify.train import one_model
from edge_classify.train.checkpoint import History
from edge_classify.train.fitting import fit
from edge_classify.train.output import UNFINISHED
from edge_classify.train.task import Task

from .support.system import small_disk
from .support.training import CNN, MODEL_FILES, RUN_FILES, metrics, start, train, tree

RANDOM = ("--image-size", "32", "--epochs", "1,0", "--weights", "none", "--alpha", "0.35",
          "--folds", "0")  # fmt: skip


@pytest.mark.parametrize("line", ["18 images in 3 classes", "parameters, input 32x32"])
def test_interrupt_before_the_first_epoch_ends_leaves_nothing_behind(
    few: Path, tmp_path: Path, line: str
) -> None:
    (tmp_path / "new").mkdir()
    process = start(
        tmp_path / "log", few, "-o", tmp_path / "new" / "a" / "run", *CNN, at=line, send=signal.SIGINT
    )
    status, text = process.wait()
    assert status == 130 and text.endswith("Interrupted\n") and "--resume" not in text
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.slow
def test_interrupt_in_the_second_model_keeps_the_first_and_no_half_of_the_second(
    few: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    status, text = start(
        tmp_path / "log", few, "-o", run, *RANDOM, at="mobilenet_v2: ", send=signal.SIGINT
    ).wait()
    assert status == 130, text
    assert "Interrupted before mobilenet_v2 was finished: the earlier models are kept" in text
    assert f"Continue with: edge-train --resume {run}\n" in text
    assert {path.name for path in run.iterdir()} == {*RUN_FILES, "cnn", UNFINISHED}
    assert {path.name for path in (run / "cnn").iterdir()} == MODEL_FILES
    assert metrics(run, "cnn")["interrupted"] is False


@pytest.mark.slow
def test_second_model_that_diverges_does_not_cost_the_first(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(task: Task) -> History:
        if task.built.base is not None:
            raise OptionError("The training of mobilenet_v2 diverged")
        return fit(task)

    monkeypatch.setattr(one_model, "fit", diverge)
    result = train(few, "-o", tmp_path / "run", *RANDOM)
    assert result.exit_code == 1 and "diverged. The earlier models are kept" in result.output
    assert {path.name for path in (tmp_path / "run").iterdir()} == {*RUN_FILES, "cnn"}


def test_training_that_diverges_names_the_option_and_leaves_nothing_behind(few: Path, tmp_path: Path) -> None:
    result = train(few, "-o", tmp_path / "run", *CNN, "--learning-rate", "1e35,1")
    assert result.exit_code == 1 and "diverged" in result.output and "--learning-rate" in result.output
    assert "--resume" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_output_that_cannot_be_written_or_would_harm_the_data_is_refused(few: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    before = tree(few)
    for kind in ((), ("--audit-only",)):
        for output, message in (
            (tmp_path / "file" / "run", "cannot be written"),
            (few / "run", "lies in the data set"),
            (few, "is a folder that is not empty"),
        ):
            result = train(few, "-o", output, *CNN, *kind)
            assert result.exit_code == 1 and message in result.output
        assert train(few, "-o", few, *CNN, "--force", *kind).exit_code == 1
        assert train(few, "-o", tmp_path / "file", *CNN, "--force", *kind).exit_code == 2
    assert tree(few) == before and tree(tmp_path) == {"file": b"mine"}


def _as_of_a_built_in_set(run: Path, few: Path) -> None:
    """Make a run look as that of a set whose images are its own."""
    split = json.loads((run / "split.json").read_text(encoding="utf-8"))
    (run / "split.json").write_text(json.dumps({**split, "root": "images"}), encoding="utf-8")
    shutil.copytree(few, run / "images")


@pytest.mark.slow
def test_earlier_run_is_replaced_with_force_alone_and_the_users_files_stay(
    few: Path, small_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(small_run, tmp_path / "run")
    _as_of_a_built_in_set(run, few)
    shutil.copytree(run / "cnn", run / "resnet50")
    before = tree(run)
    mine = ("notes.txt", "cnn/mine.tflite", "images/red disc/me.png", "mine/a/b.txt")
    for name in mine:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(b"mine")
    refused = train(few, "-o", run, *CNN)
    assert refused.exit_code == 1 and "--force" in refused.output
    assert tree(run) == {**before, **dict.fromkeys(mine, b"mine")}
    own = train(run / "images", "-o", run, *CNN, "--force")
    assert own.exit_code == 1 and "is a part of the run" in own.output
    assert train(few, "-o", run, *CNN, "--force").exit_code == 0
    after = tree(run)
    assert set(after) == {*RUN_FILES, *(f"cnn/{name}" for name in MODEL_FILES), *mine}
    assert all(after[name] == b"mine" for name in mine)
    assert Split.read(run).root == str(few)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.slow
def test_unfinished_run_is_begun_anew_with_force(few: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    status, _ = start(tmp_path / "log", few, "-o", run, *CNN, at="cnn: measuring", send=signal.SIGKILL).wait()
    assert status == -signal.SIGKILL and any((run / UNFINISHED).glob("*.checkpoint.npz"))
    result = train(few, "-o", run, *CNN, "--force")
    assert result.exit_code == 0 and "cnn phase 1  epoch 1/1" in result.output
    assert {path.name for path in run.iterdir()} == {*RUN_FILES, "cnn"}


def test_folder_that_is_no_run_is_not_replaced_even_with_force(few: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "holiday.png").write_bytes(b"mine")
    result = train(few, "-o", tmp_path, *CNN, "--force")
    assert result.exit_code == 1 and "is not an earlier run that --force can replace" in result.output
    assert tree(tmp_path) == {"images/holiday.png": b"mine"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB: more than the pictures take, less than the state of a training."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, "3m"):
        yield folder


def test_full_disk_is_named_and_nothing_half_written_is_left(few: Path, disk: Path) -> None:
    result = train(few, "-o", disk / "run", *CNN)
    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == (
        f"Error: The disk of {disk / 'run'} is full. Free some space, or name another --output"
    )
    assert list(disk.iterdir()) == []


def test_disk_that_cannot_be_written_is_named_before_the_images_are_read(few: Path, disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for options in (CNN, ("--audit-only",)):
        result = train(few, "-o", disk / "run", *options)
        assert result.exit_code == 1 and "Read-only file system" in result.output
        assert len(result.output.splitlines()) == 1
