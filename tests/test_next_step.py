"""The last line says what to type next: with the user's own paths, and to people alone."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import pytest
from edge_classify.benchmarks.next_step import words_of
from edge_classify.edge.default_model import DEFAULT_MODEL
from edge_classify.edge.next_step import quoted

from .support.commands import run_command
from .support.pictures import write_shapes
from .support.terminal import next_command, run_in_terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
_QUICK = ["--runs", "20", "--processes", "1"]


@pytest.mark.parametrize("name", ["a b", "-x", "it's", "$HOME", "~", "*", "a;b", "ä"])
def test_path_is_one_word_for_the_shell_and_no_option(name: str) -> None:
    (word,) = shlex.split(quoted(name))
    assert Path(word) == Path(name) and not word.startswith("-")


def test_all_files_of_a_folder_are_written_as_a_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "my models"
    folder.mkdir()
    files = [folder / name for name in ("a.tflite", "b.tflite", "c.tflite")]
    for file in files:
        file.touch()
    assert words_of(files) == f"'{folder}'/*.tflite"
    assert words_of(files[:2]) == f"'{files[0]}' '{files[1]}'"
    assert words_of(files[:1]) == f"'{files[0]}'"


def test_who_tries_the_default_model_is_told_how_to_make_one(tmp_path: Path) -> None:
    photo = next(write_shapes(tmp_path / "data", 1).rglob("*.png"))
    status, lines = run_in_terminal(["edge-classify", str(photo)], tmp_path, NO_COLOR="1")
    assert status == 0
    assert next_command(lines) == ["edge-train", "photos", "--output", "run"]
    own = ["edge-classify", "-m", str(DEFAULT_MODEL), str(photo)]
    for quiet in (own, ["edge-classify", "--json", str(photo)], ["edge-classify", "--log=json", str(photo)]):
        status, lines = run_in_terminal(quiet, tmp_path)
        assert status == 0 and not any("Next" in line for line in lines)
    status, lines = run_in_terminal(["edge-classify", str(photo), "missing.png"], tmp_path)
    assert status == 1 and not any(line.startswith("Next") for line in lines)


def test_nothing_is_suggested_where_no_terminal_is(tmp_path: Path) -> None:
    photo = next(write_shapes(tmp_path / "data", 1).rglob("*.png"))
    result = run_command("edge-classify", photo, cwd=tmp_path)
    assert result.returncode == 0 and "Next" not in result.stdout + result.stderr


def test_benchmark_asks_for_labelled_images_where_no_accuracy_was_measured(tmp_path: Path) -> None:
    shutil.copy(DEFAULT_MODEL, tmp_path / "my model.tflite")
    status, lines = run_in_terminal(["edge-benchmark", "my model.tflite", *_QUICK], tmp_path)
    assert status == 0
    assert next_command(lines) == ["edge-benchmark", "my model.tflite", "--data", "photos"]
    status, lines = run_in_terminal(["edge-benchmark", "my model.tflite", *_QUICK, "--json"], tmp_path)
    assert status == 0 and not any(line.startswith("Next") for line in lines)


@pytest.mark.slow
def test_who_types_what_each_command_suggests_gets_from_photos_to_a_measured_model(tmp_path: Path) -> None:
    write_shapes(tmp_path / "my photos", 30)
    (tmp_path / "models").mkdir()  # It is somebody else's: another name is suggested.
    words = ["edge-train", "./my photos", "-o", "-my run", "--model", "cnn", "--audit-only"]
    status, lines = run_in_terminal([word for word in words if word not in ("-o", "-my run")], tmp_path)
    assert status == 0
    assert next_command(lines) == ["edge-train", "--output", "run", "./my photos", "--model", "cnn"]
    options = ["--folds", "0", "--epochs", "40,0", "--image-size", "32", "--batch-size", "16"]
    status, lines = run_in_terminal([*words[:-1], *options], tmp_path)
    assert status == 0
    assert next_command(lines) == ["edge-convert", "./-my run", "--output", "models-2"]
    status, lines = run_in_terminal(next_command(lines), tmp_path)
    assert status == 0
    *_, here, on_device = lines
    status, answers = run_in_terminal(next_command([here]), tmp_path)
    assert status == 0 and "my photos" in answers[-1]
    measure = next_command([on_device])
    assert len(measure) == 2
    data = ["--data", "../-my run", "--images", "../my photos"]
    status, lines = run_in_terminal([*measure, *_QUICK, *data], tmp_path / "models-2")
    assert status == 0, lines
    assert next_command(lines) == ["edge-classify", "-m", measure[1], "photo.jpg"]
