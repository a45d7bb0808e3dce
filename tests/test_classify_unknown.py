"""edge-classify with a model that has an output for unknown things behind those of its classes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edge_classify.edge.card import InputSpec, ModelCard, OutputSpec, UnknownOutput, unknown_label
from edge_classify.edge.outputs.home_assistant import announcement
from edge_classify.edge.tflite.sealing import complete_card, seal
from PIL import Image

from .support.commands import run_command
from .support.tiny_model import SIDE, classifier, write_sealed

JsonLines = Callable[[str], list[dict[str, Any]]]
# One for each kind of answer: red, between red and green, and grey, which is none of the classes.
PICTURES = {"known": (255, 0, 0), "between": (130, 126, 0), "other": (160, 160, 160)}


def write_with_unknown(path: Path, labels: tuple[str, ...] = ("red", "green", "blue")) -> Path:
    """Write the model of four outputs, whose last one, for grey, is that for unknown things."""
    flatbuffer = classifier()
    output = OutputSpec(threshold=0.8, unknown=UnknownOutput(unknown_label(labels), 40, 0.05))
    card = ModelCard("tiny", labels, InputSpec(SIDE, SIDE, "float32"), output=output)
    path.write_bytes(seal(flatbuffer, complete_card(flatbuffer, card, "float32")))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_with_unknown(tmp_path_factory.mktemp("model") / "tiny.tflite")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, (name, colour) in enumerate(PICTURES.items()):
        Image.new("RGB", (40, 30), colour).save(folder / f"{number} {name}.png")
    return folder


def answers(text: str) -> list[str]:
    """Return the answers of the lines: the first word, or what stands before the classes in brackets."""
    return [line.split("  ")[1].split(" (")[0].split(" ")[0] for line in text.splitlines()]


def test_picture_of_a_class_one_between_two_and_one_of_something_else_get_three_kinds_of_answer(
    model: Path, photos: Path
) -> None:
    result = run_command("edge-classify", "-m", model, "--top", "1", photos)
    assert (result.returncode, result.stderr) == (0, "")
    assert answers(result.stdout) == ["red", "unsure", "unknown"]
    between, other = result.stdout.splitlines()[1:]
    assert "unsure (red " in between and ", green " in between and "blue" not in between
    assert other.count("%") == 1


def test_json_gives_each_kind_its_flag_and_its_reason(
    model: Path, photos: Path, json_lines: JsonLines
) -> None:
    known, between, other = json_lines(run_command("edge-classify", "-m", model, "--json", photos).stdout)
    flags = [(record["unknown"], record["unsure"]) for record in (known, between, other)]
    assert flags == [(False, False), (False, True), (True, False)]
    assert known["reason"] is None and known["unknown_score"] < 0.1
    reason = r"between red \([\d.]+ %\) and green \([\d.]+ %\), below the threshold of 80 %"
    assert re.fullmatch(reason, between["reason"])
    assert other["reason"].startswith("like none of the 3 classes; the nearest is ")
    assert other["unknown_score"] > 0.4
    # The classes share 1, whatever the output for unknown things has.
    assert sum(score["score"] for score in other["predictions"]) == pytest.approx(1, abs=1e-5)


def test_csv_has_the_answer_in_the_first_label(model: Path, photos: Path) -> None:
    result = run_command("edge-classify", "-m", model, "--csv", "--top", "1", photos)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["label"] for row in rows] == ["red", "unsure", "unknown"]
    assert [row["unknown"] for row in rows] == ["false", "false", "true"]
    assert [row["unsure"] for row in rows] == ["false", "true", "false"]
    assert "red" in rows[1]["reason"] and "green" in rows[1]["reason"]


def test_no_unknown_names_a_class_or_is_unsure_and_leaves_the_output_out(
    model: Path, photos: Path, json_lines: JsonLines
) -> None:
    result = run_command("edge-classify", "-m", model, "--no-unknown", "--threshold", "0", photos)
    assert answers(result.stdout)[:2] == ["red", "red"] and answers(result.stdout)[2] in (
        "red",
        "green",
        "blue",
    )
    assert result.stderr == ""
    other = json_lines(run_command("edge-classify", "-m", model, "--no-unknown", "--json", photos).stdout)[2]
    assert (other["unknown"], other["unsure"], other["unknown_score"]) == (False, True, None)


def test_threshold_0_is_never_unsure_and_still_says_unknown(model: Path, photos: Path) -> None:
    result = run_command("edge-classify", "-m", model, "--threshold", "0", photos)
    assert answers(result.stdout) == ["red", "red", "unknown"]


def test_no_unknown_says_for_which_models_it_has_no_effect(model: Path, photos: Path, tmp_path: Path) -> None:
    plain = write_sealed(tmp_path / "plain.tflite")
    result = run_command("edge-classify", "-m", model, "-m", plain, "--no-unknown", photos)
    assert result.returncode == 0
    assert result.stderr == f"--no-unknown has no effect with {plain}: it cannot answer unknown\n"


def test_class_that_a_user_called_unknown_keeps_its_name(
    photos: Path, tmp_path: Path, json_lines: JsonLines
) -> None:
    labels = ("unknown", "green", "blue")
    theirs = write_with_unknown(tmp_path / "theirs.tflite", labels)
    known, _, other = json_lines(run_command("edge-classify", "-m", theirs, "--json", photos).stdout)
    assert (known["answer"], known["unknown"]) == ("unknown", False)
    assert (other["answer"], other["unknown"]) == ("none of these", True)
    told = announcement("door", "theirs", labels, unknown_label(labels))
    assert told["options"] == [*labels, "unsure", "none of these"]
