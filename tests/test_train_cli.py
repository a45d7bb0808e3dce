from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from edge_classify.benchmarks.scoring.split import Split, read_labelled
from edge_classify.edge.card import ModelCard
from edge_classify.edge.image import load_image, to_input
from edge_classify.train.backbones import BACKBONES
from edge_classify.train.imbalance import IMBALANCE
from PIL import Image

from .support.pictures import SHAPES, make_picture, write_shapes
from .support.training import CNN, MODEL_FILES, RUN_FILES, assert_same_runs, train


def test_run_holds_the_documented_files_and_nothing_else(run: Path) -> None:
    assert {path.name for path in run.iterdir()} == {*RUN_FILES, "cnn", "mobilenet_v2"}
    for model in ("cnn", "mobilenet_v2"):
        assert {path.name for path in (run / model).iterdir()} == MODEL_FILES


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


def test_training_again_with_the_same_seed_gives_the_same_model_and_figures(
    few: Path, small_run: Path, tmp_path: Path
) -> None:
    assert train(few, "-o", tmp_path / "run", *CNN).exit_code == 0
    assert_same_runs(tmp_path / "run", small_run, ("cnn",))


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
    result = train(data, "-o", tmp_path / "run", *CNN)
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
    result = train(few, "-o", tmp_path / "new" / "run", *CNN, "--test-split", "0", "--json")
    assert result.exit_code == 0 and "No untouched test set exists" in result.output
    record = json.loads(next(line for line in result.output.splitlines() if line.startswith("{")))
    assert record["subset"] == "validation"
    run = tmp_path / "new" / "run"
    assert "No untouched test set exists" in (run / "report.html").read_text(encoding="utf-8")
    assert Split.read(run).counts()["test"] == dict.fromkeys(SHAPES, 0)
    assert [path.name for path in run.parent.iterdir()] == ["run"]  # Nothing is left beside it.


def test_given_test_folder_is_used_whole_and_a_class_that_it_lacks_is_named(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_shapes(data / "train", 4)
    shutil.rmtree(write_shapes(data / "test", 2, seed=50) / "blue 3")
    result = train(data, "-o", tmp_path / "run", *CNN)
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
        (_empty, "must hold one sub-folder for each class, with images in it: no images were found"),
        (_line_break, "cannot name a class"),
        (_loose_test, "must hold one sub-folder for each class, as"),
    ],
)
def test_unusable_data_ends_in_one_sentence_and_leaves_nothing_behind(
    few: Path, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    shutil.copytree(few, tmp_path / "data")
    spoil(tmp_path / "data")
    result = train(tmp_path / "data", "-o", tmp_path / "new" / "run", *CNN)
    last = result.output.splitlines()[-1]
    assert result.exit_code == 1 and last.startswith("Error: ") and message in last
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


_USAGE = [
    (("--epochs", "5"), "two numbers, one a phase"),
    (("--epochs", "0,0"), "nor both 0"),
    (("--epochs", "-1,2"), "must not be negative"),
    (("--epochs", "1.5,2"), "two numbers"),
    (("--learning-rate", "nan,1"), "must not be negative"),
    (("--learning-rate", "inf,1"), "must not be negative"),
    (("--alpha", "nan"), "is not a finite number"),
    (("--validation-split", "nan"), "is not a finite number"),
    (("--validation-split", "0"), "not in the range 0<x<1"),
    (("--test-split", "1"), "not in the range 0<=x<1"),
    (("--dropout", "nan"), "is not a finite number"),
    (("--seed", "4294967296"), "not in the range"),
    (("--batch-size", "0"), "not in the range"),
    (("--image-size", "31"), "not in the range"),
    (("--image-size", "vgg=32"), "such as cnn=32,mobilenet_v2=96"),
    (("--image-size", "mobilenet_v2=64", "--model", "cnn"), "names mobilenet_v2, which is not trained"),
    (("--augment", "flip,blur"), "Received: 'blur'"),
    (("--model", "cnn", "--weights", "none"), "--weights goes with a backbone among --model"),
]
_USAGE += [
    (("--model", "cnn", option, value), f"{option} goes with a backbone among --model")
    for option, value in (
        ("--alpha", "1"),
        ("--fine-tune-layers", "3"),
        ("--batch-norm", "frozen"),
        ("--head-units", "0"),
        ("--views", "2"),
    )
]
_USAGE += [
    (("--class-weights", "none", "--imbalance", "auto"), "--imbalance does not go with --class-weights"),
    (("--weight-decay", "nan"), "is not a finite number"),
    (("--warmup", "0.6"), "not in the range"),
    (("--answer-precision", "0"), "not in the range"),
    (("--audit-only", "--epochs", "five"), "two numbers"),
    (("--model", "auto"), "--model auto goes with --budget, such as --budget median=5ms,size=4MB."),
    (("--model", "auto", "--model", "cnn", "--budget", "size=1MB"), "does not go with --model cnn"),
    (("--model", "auto", "--budget", "size=1MB,drop=1"), "drop is a limit of edge-convert"),
    (("--model", "auto", "--budget", "fast"), "must be limits of size, ram"),
]


@pytest.mark.parametrize(("args", "message"), _USAGE)
def test_unusable_option_ends_with_status_2(
    few: Path, tmp_path: Path, args: tuple[str, ...], message: str
) -> None:
    result = train(few, "-o", tmp_path / "run", *args)
    assert result.exit_code == 2 and message in " ".join(result.output.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "names"),
    [
        ("--model", ("cnn", *BACKBONES)),
        ("--preset", ("fast", "balanced", "best")),
        ("--imbalance", IMBALANCE),
        ("--optimizer", ("adamw", "sgd")),
    ],
)
def test_unknown_name_lists_the_valid_ones(
    few: Path, tmp_path: Path, option: str, names: tuple[str, ...]
) -> None:
    result = train(few, "-o", tmp_path / "run", option, "vgg")
    assert result.exit_code == 2 and "'vgg' is not one of" in result.output
    assert all(repr(name) in result.output for name in names)


@pytest.mark.slow
def test_options_that_need_a_frozen_network_are_said_to_be_without_effect_on_random_weights(
    few: Path, tmp_path: Path
) -> None:
    model = ("--model", "mobilenet_v2", "--image-size", "32", "--epochs", "1,0", "--weights", "none")
    result = train(few, "-o", tmp_path / "run", *model, "--folds", "0", "--alpha", "0.35", "--views", "3")
    assert result.exit_code == 0 and result.stderr.startswith(
        "--views has no effect without pretrained --weights"
    )
    assert {path.name for path in (tmp_path / "run" / "mobilenet_v2").iterdir()} == MODEL_FILES


def test_weights_of_one_file_for_two_backbones_are_refused(few: Path, tmp_path: Path) -> None:
    models = ("--model", "mobilenet", "--model", "resnet50")
    result = train(few, "-o", tmp_path / "run", *models, "--weights", "base.h5")
    assert result.exit_code == 1 and "base.h5" in result.output and "resnet50" in result.output
    assert list(tmp_path.iterdir()) == []


def test_command_without_data_or_output_ends_with_status_2(few: Path, tmp_path: Path) -> None:
    assert train("-o", tmp_path / "run").exit_code == 2
    assert train(few).exit_code == 2
    empty = train("", "-o", tmp_path / "run")
    assert empty.exit_code == 2 and "DATA is " in empty.output
