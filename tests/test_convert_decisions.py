"""edge-convert decides by what images show: no file is set aside, repaired or praised by chance."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_classify.edge.classifier import Classifier
from PIL import Image

from .support.colour_run import LABELS, SIDE, write_model, write_pictures
from .support.conversion import convert


def record(folder: Path, variant: str) -> dict[str, Any]:
    files = json.loads((folder / "conversion.json").read_text())["files"]
    (found,) = [item for item in files if item["variant"] == variant]
    return dict(found)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without a card, its labels, and 400 pictures without labels."""
    folder = tmp_path_factory.mktemp("healthy")
    run = folder / "run"
    write_pictures(run, {"train": 400})
    write_model(run / "good", 1.0)
    shutil.copy(run / "good" / "model.keras", folder / "theirs.keras")
    shutil.copytree(run / "images" / "train", folder / "unlabelled")
    (folder / "labels.txt").write_text("\n".join(LABELS))
    return folder


def options(healthy: Path) -> tuple[object, ...]:
    labels = ("--labels", healthy / "labels.txt", "--normalization", "0..255")
    return (healthy / "theirs.keras", *labels, "--calibration", healthy / "unlabelled")


def write_border_case(healthy: Path, made: Path, data: Path) -> None:
    """Write 36 test pictures, of which int8 answers one otherwise than float32, which has all right."""
    float32, int8 = (Classifier.from_file(made / f"theirs_{kind}.tflite") for kind in ("float32", "int8"))
    rng = np.random.default_rng(7)
    written = differing = 0
    while written < 36:
        level = rng.integers(60, 200, (SIDE, SIDE, 3))
        level[:, :, written % 3] += 40
        border = rng.integers(60, 200, (SIDE, SIDE, 3))
        pixels = (level if differing else border).astype(np.uint8)
        answer = float32.classify_pixels(pixels).best
        if not differing and int8.classify_pixels(pixels).best.label == answer.label:
            continue  # The first picture is the one that only rounding decides.
        if differing and int8.classify_pixels(pixels).best.label != answer.label:
            continue
        differing = 1
        (data / answer.label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(data / answer.label / f"{written:02}.png")
        written += 1


def test_one_of_36_answers_sets_int8_not_aside_and_calls_no_doctor(healthy: Path, tmp_path: Path) -> None:
    wanted = ("--variant", "float32", "--variant", "int8")
    assert convert(*options(healthy), *wanted, "--output", tmp_path / "first").exit_code == 0
    write_border_case(healthy, tmp_path / "first", tmp_path / "data")
    result = convert(*options(healthy), *wanted, "--data", tmp_path / "data", "--output", tmp_path / "second")
    assert result.exit_code == 0, result.output
    assert record(tmp_path / "second", "int8")["keras_difference"] == pytest.approx(-1 / 36)
    assert (
        "theirs: the measured loss of int8 is 2.78 points; whether its true loss is more than 1 point cannot "
        "be told from 36 images" in result.stderr
    )
    assert "would tell" in result.stderr
    assert "less accurate than the best, and that is no chance" not in result.stdout
    assert not list((tmp_path / "second").glob("*_mixed.tflite"))
    assert "Chosen by 36 images of data; the figures are of the same images." in result.stdout


def test_answers_to_pictures_without_labels_bound_what_a_file_can_have_lost(
    healthy: Path, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "run", {"test": 36})
    data = tmp_path / "data"
    for number, path in enumerate(sorted((tmp_path / "run" / "images" / "test").iterdir())):
        (data / LABELS[number % 3]).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, data / LABELS[number % 3])
    wanted = ("--variant", "float16", "--variant", "int8", "--calibration-images", "50", "--data", data)
    result = convert(*options(healthy), *wanted, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    # Of 36 images alone, with no answer changed, 9.74 points could be lost: of 386 images less than 1.
    assert record(tmp_path / "out", "float16")["loss_at_most"] < 0.01


def test_run_without_test_images_is_said_to_be_scored_on_the_images_that_chose(tmp_path: Path) -> None:
    write_pictures(tmp_path / "run", {"train": 30, "validation": 60})
    write_model(tmp_path / "run" / "good", 1.0)
    wanted = ("--variant", "float32", "--variant", "float16", "--output", tmp_path / "out")
    result = convert(tmp_path / "run" / "good", *wanted)
    assert result.exit_code == 0, result.output
    assert "good: no test images were kept: the 60 scored images are validation images" in result.stderr
    assert "the figures are of the same images" in result.stdout
    kept = tmp_path / "kept"
    write_pictures(kept, {"train": 30, "validation": 60, "test": 60})
    write_model(kept / "good", 1.0)
    result = convert(kept / "good", *wanted, "--force")
    assert "no test images were kept" not in result.stderr
    assert "Chosen by 60 images of the validation split; the figures are of other images." in result.stdout
