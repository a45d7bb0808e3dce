from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner, Result
from edge_classify.benchmarks.split import Split, read_labelled
from edge_classify.edge.card import ModelCard
from edge_classify.edge.errors import OptionError
from edge_classify.edge.image import load_image, to_input
from edge_classify.train.cli import main
from edge_classify.train.fitting import History
from edge_classify.train.models import Built
from PIL import Image

from .conftest import SHAPES, make_picture, write_shapes

MODEL_FILES = {"model.keras", "card.json", "history.csv", "metrics.json", "curves.png", "confusion.png"}
CNN = ("--model", "cnn", "--image-size", "32", "--epochs", "1,0")


def _train(*args: object) -> Result:
    """Run the command in this process; whatever the user did, it must end without a traceback."""
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("few") / "shapes", 6)


def _tree(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_run_holds_the_documented_files_and_nothing_else(run: Path) -> None:
    assert {path.name for path in run.iterdir()} == {"split.json", "report.html", "cnn", "mobilenet_v2"}
    for model in ("cnn", "mobilenet_v2"):
        assert {path.name for path in (run / model).iterdir()} == MODEL_FILES
    assert [p.name for p in run.parent.iterdir()] == [run.name]


def test_run_has_a_card_that_says_what_was_trained_on_what(run: Path, shapes: Path) -> None:
    split = Split.read(run)
    assert split.root == str(shapes) and set(split.labels) == set(SHAPES)
    for model in ("cnn", "mobilenet_v2"):
        card = ModelCard.from_json((run / model / "card.json").read_bytes())
        assert card.labels == split.labels and (card.input.height, card.input.width) == (32, 32)
        assert card.training is not None and card.accuracy is not None
        assert (card.training.split_sha256, card.training.seed) == (split.sha256, 0)
        assert card.accuracy.dataset == "shapes test" and card.accuracy.images == 18
        assert str(shapes.parent) not in (run / model / "card.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["cnn", "mobilenet_v2"])
def test_saved_model_gives_the_accuracy_and_confusion_that_were_reported(
    run: Path, shapes: Path, name: str
) -> None:
    split = Split.read(run)
    card = ModelCard.from_json((run / name / "card.json").read_bytes())
    images = split.subset("test", shapes)
    pixels = [to_input(load_image(read_labelled(i)), card.input, card.preprocess) for i in images]
    model = keras.models.load_model(run / name / "model.keras")
    guesses = model.predict(np.stack(pixels).astype(np.float32), verbose=0).argmax(1)
    confusion = np.zeros((3, 3), int)
    for image, guess in zip(images, guesses, strict=True):
        confusion[split.labels.index(image.label), guess] += 1
    metrics = json.loads((run / name / "metrics.json").read_text())
    assert metrics["confusion"] == confusion.tolist() and metrics["images"] == 18
    assert metrics["accuracy"] == confusion.trace() / 18
    assert metrics["subset"] == "test" and metrics["parameters"] == model.count_params()
    assert metrics["gap"] == pytest.approx(metrics["train_accuracy"] - metrics["accuracy"])


def test_training_twice_with_a_seed_gives_the_same_model_and_figures(few: Path, tmp_path: Path) -> None:
    options = ("--model", "cnn", "--image-size", 32, "--epochs", "2,1", "--batch-size", 4, "--seed", 3)
    for name in ("one", "two"):
        assert _train(few, "-o", tmp_path / name, *options).exit_code == 0
    one, two = tmp_path / "one", tmp_path / "two"
    for same in ("split.json", "cnn/history.csv", "cnn/card.json", "cnn/confusion.png", "cnn/curves.png"):
        assert (one / same).read_bytes() == (two / same).read_bytes(), same
    figures = [json.loads((folder / "cnn" / "metrics.json").read_text()) for folder in (one, two)]
    assert {**figures[0], "seconds": 0} == {**figures[1], "seconds": 0}
    weights = [keras.models.load_model(folder / "cnn/model.keras").get_weights() for folder in (one, two)]
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))
    rows = list(csv.DictReader((one / "cnn" / "history.csv").read_text().splitlines()))
    assert [(row["phase"], row["epoch"]) for row in rows] == [("1", "1"), ("1", "2"), ("2", "1")]


def test_unreadable_files_are_named_and_counted_and_the_rest_is_trained_on(few: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(few, data)
    folder, picture = data / "red disc", make_picture("red disc", 99, (200, 200))
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("no picture")
    picture.save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:2000])
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    for mode in ("L", "P", "RGBA"):
        picture.convert(mode).save(folder / f"{mode}.png")
    Image.fromarray(np.full((30, 30), 40000, np.uint16)).save(folder / "sixteen.png")
    result = _train(data, "-o", tmp_path / "run", *CNN)
    assert result.exit_code == 1
    assert result.output.endswith("Skipped, since they could not be read: 3; the rest was used\n")
    split = Split.read(tmp_path / "run")
    assert [file.path for file in split.skipped] == [
        f"red disc/{n}" for n in ("cut.jpg", "empty.png", "text.jpg")
    ]
    assert len(split.images) == 18 + 5
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    for file in split.skipped:
        assert f"skipped {data / file.path}: {file.reason}" in result.output and file.path in page
    assert {path.name for path in (tmp_path / "run" / "cnn").iterdir()} == MODEL_FILES


def test_test_split_of_0_is_measured_on_validation_images_and_says_so(few: Path, tmp_path: Path) -> None:
    result = _train(few, "-o", tmp_path / "new" / "run", *CNN, "--test-split", "0", "--json")
    assert result.exit_code == 0 and "No untouched test set exists" in result.output
    record = json.loads(next(line for line in result.output.splitlines() if line.startswith("{")))
    assert record["subset"] == "validation"
    run = tmp_path / "new" / "run"
    assert "No untouched test set exists" in (run / "report.html").read_text(encoding="utf-8")
    assert Split.read(run).counts()["test"] == dict.fromkeys(SHAPES, 0)


def test_given_test_folder_is_used_whole_and_a_class_that_it_lacks_is_named(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_shapes(data / "train", 4)
    shutil.rmtree(write_shapes(data / "test", 2, seed=50) / "blue 3")
    result = _train(data, "-o", tmp_path / "run", *CNN)
    assert result.exit_code == 0 and "The test images show nothing of blue 3" in result.output
    for image in Split.read(tmp_path / "run").images:
        assert (image.subset == "test") == image.path.startswith("test/")
    metrics = json.loads((tmp_path / "run/cnn/metrics.json").read_text())
    assert metrics["images"] == 4


def _one_class(root: Path) -> None:
    shutil.rmtree(root / "blue 3")
    shutil.rmtree(root / "red disc")


def _one_image(root: Path) -> None:
    for path in list((root / "blue 3").iterdir())[1:]:
        path.unlink()


def _all_broken(root: Path) -> None:
    for path in root.rglob("*.png"):
        path.write_bytes(b"broken")


def _empty(root: Path) -> None:
    for path in list(root.iterdir()):
        shutil.rmtree(path)


def _line_break(root: Path) -> None:
    (root / "blue 3").rename(root / "blue\n3")


def _loose_test(root: Path) -> None:
    shutil.copytree(root, root / "train")
    (root / "test").mkdir()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_one_class, "has only one class (grüne Fläche)"),
        (_one_image, "Class 'blue 3' has 1 readable image to split, and needs at least 3"),
        (_all_broken, "Class 'blue 3' has 0 readable images to split"),
        (_empty, "must hold one sub-folder a class, with images in it: no images were found"),
        (_line_break, "cannot name a class"),
        (_loose_test, "must hold one sub-folder a class, as"),
    ],
)
def test_unusable_data_ends_in_one_sentence_and_leaves_nothing_behind(
    few: Path, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    shutil.copytree(few, tmp_path / "data")
    spoil(tmp_path / "data")
    result = _train(tmp_path / "data", "-o", tmp_path / "new" / "run", *CNN)
    last = result.output.splitlines()[-1]
    assert result.exit_code == 1 and last.startswith("Error: ") and message in last
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--epochs", "5"), "two numbers, one a phase"),
        (("--epochs", "0,0"), "nor both 0"),
        (("--epochs", "-1,2"), "must not be negative"),
        (("--epochs", "1.5,2"), "two numbers"),
        (("--learning-rate", "nan,1"), "must not be negative"),
        (("--learning-rate", "inf,1"), "must not be negative"),
        (("--alpha", "nan"), "'nan' is not a number"),
        (("--validation-split", "nan"), "'nan' is not a number"),
        (("--validation-split", "0"), "not in the range 0<x<1"),
        (("--test-split", "1"), "not in the range 0<=x<1"),
        (("--dropout", "nan"), "'nan' is not a number"),
        (("--seed", "4294967296"), "not in the range"),
        (("--batch-size", "0"), "not in the range"),
        (("--image-size", "31"), "not in the range"),
        (("--image-size", "vgg=32"), "such as cnn=32,mobilenet_v2=96"),
        (("--image-size", "mobilenet_v2=64", "--model", "cnn"), "names mobilenet_v2, which is not trained"),
        (("--augment", "flip,blur"), "Received: 'blur'"),
        (("--model", "cnn", "--weights", "none"), "--weights goes with --model mobilenet_v2"),
        (("--model", "vgg"), "'vgg' is not one of"),
    ],
)
def test_unusable_option_ends_with_status_2(
    few: Path, tmp_path: Path, args: tuple[str, ...], message: str
) -> None:
    result = _train(few, "-o", tmp_path / "run", *args)
    assert result.exit_code == 2 and message in result.output
    assert list(tmp_path.iterdir()) == []


def test_command_without_data_or_output_ends_with_status_2(few: Path, tmp_path: Path) -> None:
    assert _train("-o", tmp_path / "run").exit_code == 2
    assert _train(few).exit_code == 2
    empty = _train("", "-o", tmp_path / "run")
    assert empty.exit_code == 2 and "DATA is empty" in empty.output


def test_output_that_cannot_be_written_or_would_harm_the_data_is_refused(few: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    before = _tree(few)
    for output, message in (
        (tmp_path / "file" / "run", "cannot be written"),
        (few / "run", "lies in the data set"),
        (few, "is a folder that is not empty"),
    ):
        result = _train(few, "-o", output, *CNN)
        assert result.exit_code == 1 and message in result.output
    assert _train(few, "-o", few, *CNN, "--force").exit_code == 1
    assert _train(few, "-o", tmp_path / "file", *CNN, "--force").exit_code == 2
    assert _tree(few) == before and _tree(tmp_path) == {"file": b"mine"}


def test_earlier_run_is_replaced_with_force_alone_and_the_users_files_stay(few: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert _train("digits", "-o", run, *CNN).exit_code == 0
    assert len(list((run / "images").rglob("*.png"))) == 1797
    before = _tree(run)
    mine = ("notes.txt", "cnn/mine.tflite", "images/3/me.png", "mine/a/b.txt")
    for name in mine:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(b"mine")
    refused = _train(few, "-o", run, *CNN)
    assert refused.exit_code == 1 and "--force" in refused.output
    assert _tree(run) == {**before, **dict.fromkeys(mine, b"mine")}
    own = _train(run / "images", "-o", run, *CNN, "--force")
    assert own.exit_code == 1 and "is a part of the run" in own.output
    assert _train(few, "-o", run, *CNN, "--force").exit_code == 0
    after = _tree(run)
    assert set(after) == {"split.json", "report.html", *(f"cnn/{name}" for name in MODEL_FILES), *mine}
    assert all(after[name] == b"mine" for name in mine)
    assert after["split.json"] != before["split.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_folder_that_is_no_run_is_not_replaced_even_with_force(few: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "holiday.png").write_bytes(b"mine")
    result = _train(few, "-o", tmp_path, *CNN, "--force")
    assert result.exit_code == 1 and "is not an earlier run that --force could replace" in result.output
    assert _tree(tmp_path) == {"images/holiday.png": b"mine"}


@contextmanager
def _interrupt_when(condition: Callable[[], bool]) -> Iterator[None]:
    """Send this process Ctrl-C's signal once, as soon as `condition` holds."""
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            if condition():
                os.kill(os.getpid(), signal.SIGINT)
                return
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def test_interrupt_before_the_first_epoch_ends_leaves_nothing_behind(few: Path, tmp_path: Path) -> None:
    with _interrupt_when(lambda: any(tmp_path.rglob("cnn.partial"))):
        result = _train(few, "-o", tmp_path / "new" / "run", *CNN)
    assert result.exit_code == 130 and "Interrupted" in result.output
    assert list(tmp_path.iterdir()) == []


def test_interrupt_after_an_epoch_keeps_the_best_one(few: Path, tmp_path: Path) -> None:
    options = ("--model", "cnn", "--image-size", 32, "--epochs", "500,2", "--patience", "500")
    checkpoint = "best.weights.h5"
    seen: list[float] = []

    def second_epoch_ended() -> bool:
        seen.extend(path.stat().st_mtime for path in tmp_path.rglob(checkpoint))
        return bool(seen) and time.time() > seen[0] + 1.5

    with _interrupt_when(second_epoch_ended):
        result = _train(few, "-o", tmp_path / "run", *options)
    assert result.exit_code == 130 and "Interrupted: keeping the best of" in result.output
    metrics = json.loads((tmp_path / "run/cnn/metrics.json").read_text())
    assert metrics["interrupted"] is True and 1 <= metrics["epochs"] < 500
    assert "cnn was interrupted" in (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert {path.name for path in (tmp_path / "run/cnn").iterdir()} == MODEL_FILES
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_interrupt_in_the_second_model_keeps_the_first_and_no_half_of_the_second(
    few: Path, tmp_path: Path
) -> None:
    options = ("--image-size", 32, "--epochs", "1,0", "--weights", "none", "--alpha", "0.35")
    with _interrupt_when(lambda: any(tmp_path.rglob("mobilenet_v2.partial"))):
        result = _train(few, "-o", tmp_path / "run", *options)
    assert result.exit_code == 130
    assert "Interrupted before mobilenet_v2 was done: keeping the model before it" in result.output
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"split.json", "report.html", "cnn"}
    assert {path.name for path in (tmp_path / "run" / "cnn").iterdir()} == MODEL_FILES
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_second_model_that_diverges_does_not_cost_the_first(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_classify.train import fitting, one_model

    real = fitting.fit

    def diverge(built: Built, *rest: Any) -> History:
        if built.base is not None:
            raise OptionError("The training of mobilenet_v2 diverged")
        return real(built, *rest)

    monkeypatch.setattr(one_model, "fit", diverge)
    options = ("--image-size", 32, "--epochs", "1,0", "--weights", "none", "--alpha", "0.35")
    result = _train(few, "-o", tmp_path / "run", *options)
    assert result.exit_code == 1 and "diverged. Keeping the model before it" in result.output
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"split.json", "report.html", "cnn"}


def test_random_weights_without_a_first_phase_are_a_usage_error(few: Path, tmp_path: Path) -> None:
    result = _train(few, "-o", tmp_path / "run", "--weights", "none", "--epochs", "0,5")
    assert result.exit_code == 2 and "raise --epochs" in result.output
