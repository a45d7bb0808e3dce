"""int8 that collapses is noticed, explained and repaired, from the command line to the file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_classify.benchmarks.scoring.loss import Loss
from edge_classify.convert import int8_loss
from edge_classify.convert.repair.search import find_repair
from edge_classify.convert.sources.traced_model import TracedModel
from edge_classify.edge.classifier import Classifier
from PIL import Image

from .support.colour_run import LABELS, SMALL, write_model, write_pictures
from .support.conversion import convert


@pytest.fixture(scope="module")
def collapsing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("collapsing")
    write_pictures(run)
    write_model(run / "bad", SMALL)
    write_model(run / "good", 1.0)
    return run


@pytest.fixture(scope="module")
def repaired(collapsing: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder with what became of int8, and what was printed."""
    output = tmp_path_factory.mktemp("repaired")
    result = convert(collapsing / "bad", "--variant", "int8", "--output", output)
    assert result.exit_code == 0, result.output
    return output, result.stdout + result.stderr


def files(folder: Path) -> dict[str, Any]:
    summary = json.loads((folder / "conversion.json").read_text())
    return {item["variant"]: item for item in summary["files"]}


def test_int8_that_loses_too_much_is_joined_by_a_repaired_variant(repaired: tuple[Path, str]) -> None:
    made = files(repaired[0])
    assert list(made) == ["int8", "mixed"]
    assert made["int8"]["keras_difference"] < -0.2
    assert made["int8"]["p_value"] < 0.01
    assert made["mixed"]["keras_difference"] >= -0.01
    card = Classifier.from_file(repaired[0] / "bad_mixed.tflite").file.card
    assert card is not None and card.conversion is not None and card.accuracy is not None
    assert card.conversion.variant == "mixed"
    assert card.conversion.recipe["repair"]
    assert card.accuracy.top1 == made["mixed"]["top1"]
    assert (card.input.dtype, card.output.dtype) == ("float32", "float32")


def test_diagnosis_names_the_guilty_layer_in_text_json_and_a_picture(repaired: tuple[Path, str]) -> None:
    folder, said = repaired
    assert "int8 loses" in said and "--max-drop allows 1: looking why" in said
    doctor = json.loads((folder / "conversion.json").read_text())["doctor"]["bad"]
    worst = [error["name"] for error in doctor["diagnosis"][:2]]
    assert set(worst) == {"mixed", "undone"}
    assert worst[0] in said
    with Image.open(folder / "bad_doctor.png") as picture:
        assert picture.width > 300 and picture.height > 200


def test_repaired_file_is_the_recommended_one(repaired: tuple[Path, str]) -> None:
    assert "Ship bad_mixed.tflite" in repaired[1]


def test_sound_model_gets_no_repair_and_no_picture(collapsing: Path, tmp_path: Path) -> None:
    result = convert(collapsing / "good", "--variant", "int8", "--output", tmp_path)
    assert result.exit_code == 0, result.stderr
    assert list(files(tmp_path)) == ["int8"]
    assert not list(tmp_path.glob("*.png"))


def test_mixed_that_is_asked_for_is_made_of_a_sound_model_too(collapsing: Path, tmp_path: Path) -> None:
    result = convert(collapsing / "good", "--variant", "mixed", "--output", tmp_path)
    assert result.exit_code == 0, result.output
    assert list(files(tmp_path)) == ["mixed"]
    assert files(tmp_path)["mixed"]["float_agreement"] > 0.97


def test_collapse_of_a_model_that_cannot_be_scored_is_found_on_the_images_of_calibration(
    collapsing: Path, tmp_path: Path
) -> None:
    import keras

    folder, pictures = tmp_path / "model", tmp_path / "pictures"
    shutil.copytree(collapsing / "images" / "train", pictures)
    folder.mkdir()
    keras.models.load_model(collapsing / "bad" / "model.keras", compile=False).save(folder / "theirs.keras")
    (folder / "labels.txt").write_text("\n".join(LABELS))
    options = ("--labels", folder / "labels.txt", "--normalization", "0..255", "--calibration", pictures)
    wanted = ("--calibration-images", "30", "--variant", "int8", "--output", tmp_path / "out")
    result = convert(folder / "theirs.keras", *options, *wanted)
    assert result.exit_code == 0, result.output
    made = files(tmp_path / "out")
    assert list(made) == ["int8", "mixed"]
    assert made["int8"]["top1"] is None and made["int8"]["estimated_loss"] > 0.2
    assert made["mixed"]["estimated_loss"] <= 0.01
    assert "about" in result.stdout and "Ship theirs_mixed.tflite" in result.stdout


def test_float32_file_that_answers_otherwise_than_its_model_is_noticed(
    collapsing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        TracedModel, "probabilities", lambda self, pixels: np.tile([0.8, 0.1, 0.1], (len(pixels), 1))
    )
    result = convert(collapsing / "good", "--variant", "float32", "--output", tmp_path)
    assert "good: the float32 file answers 66.67% of images otherwise than the model" in result.stderr


def test_loss_below_the_limit_is_let_pass(collapsing: Path, tmp_path: Path) -> None:
    result = convert(collapsing / "bad", "--variant", "int8", "--max-drop", "100", "--output", tmp_path)
    assert result.exit_code == 0, result.stderr
    assert list(files(tmp_path)) == ["int8"]


def test_loss_that_validation_images_do_not_show_is_said_and_the_exit_status_is_1(
    collapsing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8_loss, "find_repair", lambda request: _without_need(find_repair(request)))
    result = convert(collapsing / "bad", "--variant", "int8", "--output", tmp_path)
    assert result.exit_code == 1
    assert "and 0.50 on 120 validation images, which call for no repair" in result.stderr
    assert "may be chance" not in result.stderr
    assert list(files(tmp_path)) == ["int8"]


def _without_need(report: Any) -> Any:
    healthy = replace(report.int8, loss=Loss(1, 0, 200), passes=True)
    return replace(report, attempts=(healthy,), chosen=healthy)


def test_collapse_without_a_repair_is_said_and_the_exit_status_is_1(
    collapsing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8_loss, "find_repair", lambda request: _without_repairs(find_repair(request)))
    result = convert(collapsing / "bad", "--variant", "int8", "--output", tmp_path)
    assert result.exit_code == 1
    assert "bad: no repair of int8 stays within 1 point" in result.stderr
    assert list(files(tmp_path)) == ["int8"]


def test_repaired_file_answers_unknown_and_one_that_gives_nothing_does_not(
    collapsing: Path, tmp_path: Path
) -> None:
    result = convert(collapsing / "bad", "--variant", "int8", "--unknown", "--output", tmp_path)
    assert result.exit_code == 0, result.output
    assert "bad: int8 cannot answer unknown: its last layer reads nothing but 0" in result.stderr
    assert Classifier.from_file(tmp_path / "bad_int8.tflite").unknown_label is None
    mixed = Classifier.from_file(tmp_path / "bad_mixed.tflite")
    assert mixed.unknown_label == "unknown" and mixed.output.shape == (1, len(mixed.labels) + 1)


def _without_repairs(report: Any) -> Any:
    return replace(report, attempts=report.attempts[:1], chosen=None)


def test_doctor_alone_diagnoses_draws_and_makes_no_model_file(
    collapsing: Path, tmp_path: Path, json_lines: Callable[[str], list[dict[str, Any]]]
) -> None:
    result = convert("--doctor", collapsing / "bad", "--output", tmp_path / "new", "--json")
    assert result.exit_code == 0, result.stderr
    (report,) = json_lines(result.stdout)
    assert report["diagnosis"][0]["name"] in ("mixed", "undone")
    assert report["chosen"] is not None and report["labelled"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["bad_doctor.png"]
    again = convert("--doctor", collapsing / "bad", "--output", tmp_path / "new")
    assert again.exit_code == 1 and "--force" in again.stderr


@pytest.mark.parametrize(
    ("option", "told"),
    [(("--variant", "int8"), "--variant"), (("--budget", "size=1MB"), "--budget")],
)
def test_doctor_refuses_options_that_it_has_no_use_for(
    option: tuple[str, str], told: str, collapsing: Path, tmp_path: Path
) -> None:
    result = convert("--doctor", collapsing / "good", *option, "--output", tmp_path)
    assert result.exit_code == 2
    assert f"{told} does not go with --doctor" in result.stderr


def test_doctor_finds_nothing_in_a_sound_model(collapsing: Path, tmp_path: Path) -> None:
    result = convert("--doctor", collapsing / "good", "--output", tmp_path)
    assert result.exit_code == 0, result.stderr


def test_budget_that_no_file_keeps_is_named_and_the_exit_status_is_1(
    collapsing: Path, tmp_path: Path
) -> None:
    options = ("--variant", "float32", "--budget", "size=1kB", "--output", tmp_path)
    result = convert(collapsing / "good", *options)
    assert result.exit_code == 1
    assert "Ship none of them" in result.stdout
    assert "--budget: none of the 1 files keeps the limits" in result.stderr
    assert (tmp_path / "good_float32.tflite").is_file()
