"""Data sets whose classes are named by tables and file names, from the audit to the converted file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from edge_classify.benchmarks.scoring.split import Split
from edge_classify.edge.appended import read_entry

from .support.commands import run_command
from .support.conversion import convert
from .support.labelled_folders import write
from .support.pictures import SHAPES, make_picture
from .support.training import CNN, train

PER_CLASS = 8


def write_table(data: Path, name: str = "labels.csv") -> Path:
    """Write drawn pictures into one folder, and a table beside them in the letters that macOS writes."""
    (data / "pictures").mkdir(parents=True)
    with (data / name).open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["picture", "class"])
        for kind, label in enumerate(SHAPES):
            for number in range(PER_CLASS):
                picture = f"{kind}{number}"
                make_picture(label, number).save(data / "pictures" / f"{picture}.png")
                rows.writerow([picture, label.replace("ü", "u\u0308").replace("ä", "a\u0308")])
    return data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("table") / "data")


def test_audit_says_what_to_give_and_then_audits_the_table(data: Path) -> None:
    refused = train(data, "--audit-only")
    assert refused.exit_code == 1 and f"give --image-labels {data / 'labels.csv'}, or make" in refused.stderr
    result = train(data, "--image-labels", data / "labels.csv", "--audit-only", "--json")
    assert (
        result.exit_code == 0 and "pictures from column picture, classes from column class" in result.stderr
    )
    assert json.loads(result.stdout)["classes"] == {label: {"all": PER_CLASS} for label in SHAPES}


@pytest.mark.slow
def test_run_of_a_table_is_converted_and_measured_without_the_table(data: Path, tmp_path: Path) -> None:
    run, files = tmp_path / "run", tmp_path / "files"
    result = train(data, "-o", run, *CNN, "--image-labels", "labels.csv", "--test-split", ".3")
    assert result.exit_code == 0, result.output
    split = Split.read(run)
    assert split.labels == tuple(sorted(SHAPES)) and len(split.images) == len(SHAPES) * PER_CLASS
    assert {image.path.partition("/")[0] for image in split.images} == {"pictures"}
    (data / "labels.csv").rename(data / "moved.csv")
    try:
        done = convert(run, "-o", files, "--variant", "float32")
        assert "scoring on" in done.stderr, done.output  # One epoch may be no better than chance.
        assert read_entry(files / "cnn_float32.tflite", "labels.txt").decode().split("\n")[:-1] == [
            *split.labels
        ]
        refused = convert(run, "-o", tmp_path / "no", "--data", data, "--image-labels", "moved.csv")
        assert (
            refused.exit_code == 1 and "--image-labels is for model files of other people" in refused.stderr
        )
        measure = ("--runs", "1", "--processes", "1", "--json")
        scored = run_command("edge-benchmark", files / "cnn_float32.tflite", "--data", run, *measure)
        held_out = sum(image.subset == "test" for image in split.images)
        assert json.loads(scored.stdout.splitlines()[0])["accuracy"]["images"] == held_out
    finally:
        (data / "moved.csv").rename(data / "labels.csv")


@pytest.mark.slow
def test_entry_without_a_picture_is_named_and_makes_the_exit_status_1(tmp_path: Path) -> None:
    data = write_table(tmp_path / "data")
    with (data / "labels.csv").open("a", encoding="utf-8") as file:
        file.write("gone.png;blue 3\n")
    result = train(data, "-o", tmp_path / "run", *CNN, "--image-labels", "labels.csv")
    assert result.exit_code == 1, result.output
    assert f"skipped {data / 'gone.png'}: no such file" in result.stderr
    assert result.output.endswith("Skipped, since they could not be read: 1; the rest was used\n")
    assert [file.path for file in Split.read(tmp_path / "run").skipped] == ["gone.png"]


@pytest.mark.slow
def test_folds_and_twins_of_pictures_in_one_folder_go_by_their_classes(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for label, name in zip(SHAPES, ("disc", "area", "three"), strict=True):
        for number in range(PER_CLASS):
            make_picture(label, number).save(data / f"{name} ({number}).png")
    (data / "area (99).png").write_bytes((data / "disc (0).png").read_bytes())
    options = ("--labels-from-names", "start", "--folds", "2", "--json")
    result = train(data, "-o", tmp_path / "run", *CNN[:-2], *options)
    assert result.exit_code == 0, result.output
    split = Split.read(tmp_path / "run")
    assert split.labels == ("area", "disc", "three")
    assert [file.path for file in split.left_out] == ["area (99).png", "disc (0).png"]
    record = json.loads(next(line for line in result.stdout.splitlines() if line.startswith("{")))
    assert record["cross_validation"]["of"].startswith(f"{3 * PER_CLASS - 1} images")


def test_only_class_of_a_table_is_refused_by_the_name_of_the_table(data: Path, tmp_path: Path) -> None:
    table = write(tmp_path, "one.csv", "image,label\n00,disc\n01,disc\n")
    result = train(data, "--image-labels", table, "--audit-only")
    assert result.exit_code == 1 and "one.csv names only one class (disc)" in result.stderr


@pytest.mark.slow
def test_share_that_a_split_column_makes_useless_is_said(data: Path, tmp_path: Path) -> None:
    rows = [f"{kind}{n},{kind},{'test' if n < 3 else 'train'}" for kind in range(3) for n in range(PER_CLASS)]
    table = write(tmp_path, "split.csv", "\n".join(["image,label,split", *rows]))
    options = ("--image-labels", table, "--test-split", ".4")
    result = train(data, "-o", tmp_path / "run", *CNN, *options)
    assert result.exit_code == 0, result.output
    assert "--test-split has no effect where DATA has its own test images" in result.stderr
    tested = {image.path for image in Split.read(tmp_path / "run").images if image.subset == "test"}
    assert tested == {f"pictures/{kind}{n}.png" for kind in range(3) for n in range(3)}


def test_foreign_model_is_scored_and_examined_on_a_table(
    foreign_models: dict[str, Path], tmp_path: Path
) -> None:
    data = write_table(tmp_path / "data")
    labels = write(tmp_path, "labels.txt", "red disc\ngrüne Fläche\nblue 3\n")
    named = ("--labels", labels, "--normalization", "-1..1")
    measured = run_command("edge-benchmark", foreign_models["float32"], *named, "--runs", "1", "--processes",
                           "1", "--data", data, "--image-labels", "labels.csv", "--json")  # fmt: skip
    assert measured.returncode == 0, measured.stderr
    accuracy = json.loads(measured.stdout.splitlines()[0])["accuracy"]
    assert (accuracy["images"], accuracy["top1"]) == (len(SHAPES) * PER_CLASS, 1.0)
    examined = run_command("edge-classify", "--doctor", data, "-m", foreign_models["float32"], *named,
                           "--image-labels", "labels.csv")  # fmt: skip
    assert "labelled images: data: 24 images of 3 classes; " in examined.stdout
    assert "classes from column class" in examined.stdout and "right on 24 of 24 images" in examined.stdout
    refused = run_command("edge-classify", data, "--image-labels", "labels.csv")
    assert refused.returncode == 2 and "--image-labels goes with --doctor" in refused.stderr


def test_calibration_says_where_its_class_folders_lie(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from edge_classify.convert.calibration import folder_images

    for name in ("set/train/cat/deep/1.png", "set/train/dog/2.png", "set/test/cat/3.png"):
        write(tmp_path, name, b"")
    labels = {image.path.name: image.label for image in folder_images(tmp_path)}
    assert labels == {"1.png": "cat", "2.png": "dog", "3.png": "cat"}
    assert f"--calibration: The class folders of {tmp_path} lie in set" in capsys.readouterr().err
