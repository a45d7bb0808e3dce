"""What edge-convert refuses, and in which words; nothing is left behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from edge_classify.benchmarks.scoring.split import Split
from edge_classify.convert.recipes import RECIPES, find_recipe
from edge_classify.edge.errors import OptionError

from .support.conversion import convert, copy_run


def test_existing_file_without_force_is_kept(run: Path, tmp_path: Path) -> None:
    (tmp_path / "cnn_float16.tflite").write_text("mine")
    result = convert(run / "cnn", "--output", tmp_path, "--variant", "float16")
    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert (tmp_path / "cnn_float16.tflite").read_text() == "mine"


def test_unknown_variant_is_a_usage_error_that_lists_the_valid_ones(run: Path, tmp_path: Path) -> None:
    result = convert(run, "--output", tmp_path / "out", "--variant", "int9")
    assert result.exit_code == 2
    assert all(name in result.stderr for name in RECIPES)
    with pytest.raises(OptionError, match="float32, float16, dynamic, int8"):
        find_recipe("INT8")


def test_folder_that_is_no_run_is_refused_in_one_sentence(tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "missing"):
        result = convert(source, "--output", tmp_path / "out")
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: ")
        assert "edge-train" in result.stderr
        assert not (tmp_path / "out").exists()


def test_images_that_moved_are_found_with_data_and_asked_for_without(
    run: Path, shapes: Path, tmp_path: Path
) -> None:
    copy = copy_run(run, tmp_path)
    split = json.loads((copy / "split.json").read_text())
    (copy / "split.json").write_text(json.dumps({**split, "root": "gone"}))
    missing = convert(copy, "--output", tmp_path / "out", "--variant", "float32")
    assert missing.exit_code == 1
    assert "'gone'" in missing.stderr and "--data DIR" in missing.stderr
    found = convert(copy, "--output", tmp_path / "out", "--variant", "float32", "--data", shapes)
    assert found.exit_code == 0, found.stderr


def test_changed_test_image_is_skipped_and_named_and_the_exit_status_says_so(
    run: Path, shapes: Path, tmp_path: Path
) -> None:
    copy = copy_run(run, tmp_path)
    data = shutil.copytree(shapes, tmp_path / "data")
    split = Split.read(run)
    image = split.subset("test", data)[0]
    image.path.write_bytes(b"not what it was")
    result = convert(copy, "--output", tmp_path / "out", "--variant", "float32", "--data", data)
    assert result.exit_code == 1
    assert image.path.name in result.stderr and "has changed since training" in result.stderr
    summary = json.loads((tmp_path / "out" / "conversion.json").read_text())
    assert summary["files"][0]["images"] == len(split.subset("test", data)) - 1


def test_model_of_another_split_is_refused(run: Path, tmp_path: Path) -> None:
    copy = copy_run(run, tmp_path)
    split = json.loads((copy / "split.json").read_text())
    split["images"][0]["subset"] = "test" if split["images"][0]["subset"] != "test" else "train"
    (copy / "split.json").write_text(json.dumps(split))
    result = convert(copy, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert "was not trained on the split" in result.stderr


def test_card_with_too_few_labels_is_refused(run: Path, tmp_path: Path) -> None:
    copy = copy_run(run, tmp_path)
    card = json.loads((copy / "cnn" / "card.json").read_text())
    card["labels"].pop()
    (copy / "cnn" / "card.json").write_text(json.dumps(card))
    result = convert(copy, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert "2 labels and 3" in result.stderr


def test_card_with_labels_in_another_order_is_refused(run: Path, tmp_path: Path) -> None:
    copy = copy_run(run, tmp_path)
    card = json.loads((copy / "cnn" / "card.json").read_text())
    card["labels"].reverse()
    (copy / "cnn" / "card.json").write_text(json.dumps(card))
    result = convert(copy, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert "another order" in result.stderr
    assert not (tmp_path / "out").exists()


def test_file_that_is_no_keras_model_is_refused(run: Path, tmp_path: Path) -> None:
    copy = copy_run(run, tmp_path)
    whole = (run / "cnn" / "model.keras").read_bytes()
    holed = whole[:9000] + b"\0" * 5000 + whole[14000:]
    for damaged, sentence in (
        (b"PK\x03\x04 cut off", "cannot be loaded as a Keras model"),
        (b"", "is empty: a copy or a download was cut off"),
        (holed, "cannot be loaded as a Keras model"),
    ):
        (copy / "cnn" / "model.keras").write_bytes(damaged)
        result = convert(copy, "--output", tmp_path / "out")
        assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
        assert sentence in result.stderr
        assert not (tmp_path / "out").exists()


def test_failure_leaves_an_empty_folder_of_the_users_alone(run: Path, tmp_path: Path) -> None:
    copy = copy_run(run, tmp_path)
    (copy / "cnn" / "model.keras").write_bytes(b"")
    (tmp_path / "out").mkdir()
    assert convert(copy, "--output", tmp_path / "out").exit_code == 1
    assert convert(copy, "--output", tmp_path / "out" / "new" / "newer").exit_code == 1
    assert list((tmp_path / "out").iterdir()) == []
