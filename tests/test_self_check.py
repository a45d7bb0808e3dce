"""edge-classify --self-check: a file proves on the device that it is whole and that the runtime is right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.cli import main
from edge_classify.edge.errors import ModelFileError
from edge_classify.edge.proof import self_check
from edge_classify.edge.tflite.sealing import Golden, complete_card, seal

from .support.tiny_model import card, classifier, golden_pixels, write_sealed

ALL = ["checksum", "appended files", "card", "golden example golden_0.png", "golden example golden_1.png"]


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    return write_sealed(tmp_path / "m.tflite")


def run(*arguments: object, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], env=env)


def statuses(path: Path) -> dict[str, str]:
    return {check.name: check.status for check in self_check(path).checks}


def test_file_as_it_was_made_passes_every_check(sealed: Path) -> None:
    result = self_check(sealed)
    assert result.passed
    assert [check.name for check in result.checks] == ALL
    for check in result.checks[3:]:
        assert check.same_top1
        assert check.difference is not None and check.difference < 1e-5
    printed = run("--self-check", sealed)
    assert printed.exit_code == 0
    assert printed.stdout.splitlines()[0] == f"{sealed}, run by {result.runtime}"
    assert [line.split()[0] for line in printed.stdout.splitlines()[1:]] == ["ok"] * 5


def test_json_is_one_object_with_every_check(sealed: Path) -> None:
    printed = run("--self-check", sealed, "--json")
    record: dict[str, Any] = json.loads(printed.stdout)
    assert (record["file"], record["passed"]) == (str(sealed), True)
    assert [check["name"] for check in record["checks"]] == ALL
    assert record["checks"][-1]["tolerance"] == 0.01


@pytest.mark.parametrize(
    ("shift", "tolerance", "passed"), [(0.2, 0.1, False), (0.2, 0.3, True), (0.05, 0.0499, False)]
)
def test_golden_example_passes_within_its_tolerance_and_says_by_how_much(
    shift: float, tolerance: float, passed: bool, tmp_path: Path
) -> None:
    path = write_sealed(tmp_path / "m.tflite")
    pixels = golden_pixels(1)
    expected = Classifier.from_file(path).classify_pixels(pixels).probabilities
    expected[0] += shift
    finished = complete_card(classifier(), card(), "float32")
    path.write_bytes(seal(classifier(), finished, [Golden(pixels, expected, tolerance)]))
    check = self_check(path).checks[-1]
    assert (check.status == "ok") == passed
    assert check.difference == pytest.approx(shift, abs=1e-5)
    assert f"largest difference of a probability {shift:.6f}"[:-2] in check.detail
    printed = run("--self-check", path)
    assert printed.exit_code == (0 if passed else 1)
    assert printed.stdout.splitlines()[-1].split()[0] == ("ok" if passed else "failed")


def test_golden_example_with_another_answer_names_both(tmp_path: Path) -> None:
    path = write_sealed(tmp_path / "m.tflite")
    pixels = golden_pixels(1)
    expected = Classifier.from_file(path).classify_pixels(pixels).probabilities[::-1].copy()
    finished = complete_card(classifier(), card(), "float32")
    path.write_bytes(seal(classifier(), finished, [Golden(pixels, expected, 0.0)]))
    check = self_check(path).checks[-1]
    assert (check.status, check.same_top1) == ("failed", False)
    assert "answer blue instead of green" in check.detail


def test_model_with_one_flipped_byte_fails_and_is_not_run(sealed: Path) -> None:
    data = bytearray(sealed.read_bytes())
    data[1000] ^= 1
    sealed.write_bytes(data)
    checks = self_check(sealed).checks
    assert [(check.name, check.status) for check in checks] == [
        ("checksum", "failed"),
        ("the rest", "not checked"),
    ]
    assert checks[0].detail.startswith("is damaged: its checksum is")
    assert run("--self-check", sealed).exit_code == 1


def test_golden_picture_with_one_flipped_byte_fails_its_crc(sealed: Path) -> None:
    data = bytearray(sealed.read_bytes())
    data[data.index(b"\x89PNG") + 60] ^= 1
    sealed.write_bytes(data)
    result = self_check(sealed)
    assert not result.passed
    assert statuses(sealed)["checksum"] == "ok"
    assert statuses(sealed)["appended files"] == "failed"
    assert "Bad CRC-32 for file 'golden_0.png'" in result.checks[1].detail


def test_file_that_lost_its_end_proves_nothing(sealed: Path) -> None:
    sealed.write_bytes(sealed.read_bytes()[:-100])
    assert set(statuses(sealed).values()) == {"not checked"}
    assert run("--self-check", sealed).exit_code == 1


def test_file_without_a_card_says_what_could_not_be_checked_and_fails(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(classifier())
    printed = run("--self-check", path)
    assert printed.exit_code == 1
    lines = printed.stdout.splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == [
        "not checked checksum",
        "not checked appended files",
        "not checked card",
        "not checked golden examples",
    ]


def test_file_without_golden_examples_fails_although_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(seal(classifier(), complete_card(classifier(), card(), "float32")))
    result = self_check(path)
    assert [check.status for check in result.checks] == ["ok", "ok", "ok", "not checked"]
    assert not result.passed


def test_card_that_contradicts_the_model_fails(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    finished = complete_card(classifier(), card(), "float32")
    path.write_bytes(seal(classifier(), replace(finished, input=replace(finished.input, height=9))))
    check = next(check for check in self_check(path).checks if check.name == "card")
    assert check.status == "failed"
    assert "the card promises input (1, 9, 8, 3) float32" in check.detail


def test_model_that_the_runtime_refuses_fails_with_its_reason(tmp_path: Path) -> None:
    flatbuffer = classifier("MyOperation")
    path = tmp_path / "m.tflite"
    path.write_bytes(seal(flatbuffer, complete_card(classifier(), card(), "float32")))
    check = next(check for check in self_check(path).checks if check.name == "loading")
    assert check.status == "failed"
    assert "MyOperation" in check.detail


def test_path_that_is_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        self_check(tmp_path / "none.tflite")
    printed = run("--self-check", tmp_path / "none.tflite")
    assert printed.exit_code == 1
    assert "none.tflite: no such file" in printed.stderr


@pytest.mark.parametrize(
    ("others", "received"),
    [
        (["photo.jpg"], "PATH"),
        (["--camera", "0"], "--camera"),
        (["--model", "m.tflite"], "--model"),
        (["--top", "2"], "--top"),
        (["--recursive"], "--recursive"),
    ],
)
def test_self_check_with_anything_but_json_is_a_usage_error(
    others: list[str], received: str, sealed: Path
) -> None:
    printed = run("--self-check", sealed, *others)
    assert printed.exit_code == 2
    assert f"Error: {received} does not go with --self-check" in printed.stderr


def test_model_of_the_environment_does_not_disturb_the_self_check(sealed: Path) -> None:
    assert run("--self-check", sealed, env={"EDGE_CLASSIFY_MODEL": "none.tflite"}).exit_code == 0
