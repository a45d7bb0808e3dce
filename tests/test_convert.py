"""From a trained run to scored files; the numbers are checked against Keras and a bare interpreter."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from edge_classify.benchmarks.labelled import labelled_images
from edge_classify.benchmarks.predict import read_pixels
from edge_classify.benchmarks.split import LabelledImage, Split
from edge_classify.convert.calibration import load_calibration, order_by_turns
from edge_classify.convert.cli import main
from edge_classify.convert.recipes import RECIPES, find_recipe
from edge_classify.edge.card import ModelCard
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.errors import ConversionError, OptionError
from edge_classify.edge.image import load_image
from edge_classify.edge.modelfile import ModelFile, Normalization, read_entry
from hypothesis import given
from hypothesis import strategies as st

from .conftest import SHAPES

MODELS = ("cnn", "mobilenet_v2")
FILES = [f"{model}_{variant}.tflite" for model in MODELS for variant in RECIPES]


def convert(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def keras_model(run: Path, name: str) -> Any:
    import keras

    return keras.models.load_model(run / name / "model.keras", compile=False)


def evaluation_pixels(run: Path, card: ModelCard) -> np.ndarray[Any, np.dtype[np.uint8]]:
    images, _ = labelled_images(run)
    return np.stack([read_pixels(image, card.input, card.preprocess) for image in images])


def test_run_with_two_models_becomes_eight_files_and_a_summary(converted: Path) -> None:
    assert sorted(path.name for path in converted.iterdir()) == sorted([*FILES, "conversion.json"])
    summary = json.loads((converted / "conversion.json").read_text())
    assert [item["file"] for item in summary["files"]] == FILES
    for item in summary["files"]:
        assert item["size_bytes"] == (converted / item["file"]).stat().st_size


@pytest.mark.parametrize("name", FILES)
def test_file_carries_a_card_that_matches_the_model_and_the_summary(converted: Path, name: str) -> None:
    classifier = Classifier.from_file(converted / name)
    card = classifier.file.card
    assert card is not None and card.conversion is not None and card.accuracy is not None
    assert card.labels == tuple(sorted(SHAPES))
    dtype = "uint8" if "int8" in name else "float32"
    assert (card.input.dtype, card.output.dtype) == (dtype, dtype)
    assert (card.conversion.calibration is not None) == ("int8" in name)
    item = next(
        i for i in json.loads((converted / "conversion.json").read_text())["files"] if i["file"] == name
    )
    assert card.accuracy.top1 == item["top1"]
    assert card.accuracy.keras_difference == pytest.approx(item["top1"] - item["keras_top1"])
    assert read_entry(converted / name, "labels.txt").decode().split("\n")[:-1] == list(card.labels)


@pytest.mark.parametrize("name", FILES)
def test_metadata_says_raw_pixels_and_names_the_labels_file(converted: Path, name: str) -> None:
    file = ModelFile.read(converted / name)
    assert file.normalization == Normalization((0.0,), (1.0,))
    assert file.gives_probabilities


@pytest.mark.parametrize("model", MODELS)
def test_int8_input_takes_raw_bytes_at_scale_one_and_zero_point_zero(converted: Path, model: str) -> None:
    classifier = Classifier.from_file(converted / f"{model}_int8.tflite")
    assert (classifier.input.scale, classifier.input.zero_point) == (1.0, 0)
    assert (classifier.output.scale, classifier.output.zero_point) == (1 / 256, 0)


@pytest.mark.parametrize("model", MODELS)
def test_float32_file_gives_the_probabilities_of_the_keras_model(
    run: Path, converted: Path, model: str
) -> None:
    classifier = Classifier.from_file(converted / f"{model}_float32.tflite")
    assert classifier.file.card is not None
    pixels = evaluation_pixels(run, classifier.file.card)
    expected = keras_model(run, model).predict(pixels.astype(np.float32), verbose=0)
    actual = np.stack([classifier.classify_pixels(p).probabilities for p in pixels])
    # Two implementations of the same float32 sums: they differ in the order of additions.
    np.testing.assert_allclose(actual, expected, atol=1e-4)


@pytest.mark.parametrize("name", FILES)
def test_golden_examples_are_what_the_file_gives(converted: Path, name: str) -> None:
    classifier = Classifier.from_file(converted / name)
    assert classifier.file.card is not None
    examples = classifier.file.card.golden
    assert len(examples) == 2
    for example in examples:
        pixels = np.asarray(load_image(read_entry(converted / name, example.image)))
        actual = classifier.classify_pixels(pixels).probabilities
        np.testing.assert_allclose(actual, example.expected, atol=1e-5)


def test_weights_in_the_file_stay_aligned_to_sixteen_bytes(converted: Path) -> None:
    from ai_edge_litert import schema_py_generated as schema

    raw = (converted / "cnn_float32.tflite").read_bytes()
    model = schema.Model.GetRootAs(raw)
    base = np.frombuffer(raw, np.uint8).__array_interface__["data"][0]
    starts = [
        model.Buffers(i).DataAsNumpy().__array_interface__["data"][0] - base
        for i in range(model.BuffersLength())
        if model.Buffers(i).DataLength()
    ]
    assert len(starts) > 10
    assert {start % 16 for start in starts} == {0}


def test_converting_again_gives_the_same_bytes(run: Path, converted: Path, tmp_path: Path) -> None:
    result = convert(run / "cnn", "--output", tmp_path, "--variant", "int8", "--variant", "float32")
    assert result.exit_code == 0, result.stderr
    for name in ("cnn_int8.tflite", "cnn_float32.tflite"):
        assert (tmp_path / name).read_bytes() == (converted / name).read_bytes()
    assert not list(tmp_path.glob("mobilenet*"))


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


def _copy_of(run: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "run"
    copy.mkdir()
    shutil.copytree(run / "cnn", copy / "cnn")
    shutil.copy(run / "split.json", copy)
    return copy


def test_images_that_moved_are_found_with_data_and_asked_for_without(
    run: Path, shapes: Path, tmp_path: Path
) -> None:
    copy = _copy_of(run, tmp_path)
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
    copy = _copy_of(run, tmp_path)
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
    copy = _copy_of(run, tmp_path)
    split = json.loads((copy / "split.json").read_text())
    split["images"][0]["subset"] = "test" if split["images"][0]["subset"] != "test" else "train"
    (copy / "split.json").write_text(json.dumps(split))
    result = convert(copy, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert "was not trained on the split" in result.stderr


def test_card_with_too_few_labels_is_refused(run: Path, tmp_path: Path) -> None:
    copy = _copy_of(run, tmp_path)
    card = json.loads((copy / "cnn" / "card.json").read_text())
    card["labels"].pop()
    (copy / "cnn" / "card.json").write_text(json.dumps(card))
    result = convert(copy, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert "2 labels and 3" in result.stderr


def test_card_with_labels_in_another_order_is_refused(run: Path, tmp_path: Path) -> None:
    copy = _copy_of(run, tmp_path)
    card = json.loads((copy / "cnn" / "card.json").read_text())
    card["labels"].reverse()
    (copy / "cnn" / "card.json").write_text(json.dumps(card))
    result = convert(copy, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert "another order" in result.stderr
    assert not (tmp_path / "out").exists()


def test_another_variant_into_the_same_folder_joins_the_summary(run: Path, tmp_path: Path) -> None:
    for variant in ("float32", "float16"):
        assert convert(run / "cnn", "--output", tmp_path / "out", "--variant", variant).exit_code == 0
    summary = json.loads((tmp_path / "out" / "conversion.json").read_text())
    assert [item["variant"] for item in summary["files"]] == ["float32", "float16"]


def test_file_that_is_no_keras_model_is_refused(run: Path, tmp_path: Path) -> None:
    copy = _copy_of(run, tmp_path)
    whole = (run / "cnn" / "model.keras").read_bytes()
    holed = whole[:9000] + b"\0" * 5000 + whole[14000:]
    for damaged in (b"PK\x03\x04 cut off", b"", holed):
        (copy / "cnn" / "model.keras").write_bytes(damaged)
        result = convert(copy, "--output", tmp_path / "out")
        assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
        assert "cannot be loaded as a Keras model" in result.stderr


def test_json_prints_one_object_a_file(
    run: Path, tmp_path: Path, json_lines: Callable[[str], list[dict[str, Any]]]
) -> None:
    result = convert(run / "cnn", "--output", tmp_path / "out", "--variant", "dynamic", "--json")
    (record,) = json_lines(result.stdout)
    assert (record["file"], record["variant"]) == ("cnn_dynamic.tflite", "dynamic")


def test_temperature_is_built_into_the_graph(run: Path) -> None:
    from dataclasses import replace

    from edge_classify.convert.converter import trace

    card = ModelCard.from_json((run / "cnn" / "card.json").read_bytes())
    pixels = evaluation_pixels(run, card)[:5].astype(np.float32)
    plain = keras_model(run, "cnn").predict(pixels, verbose=0)
    hot = replace(card, output=replace(card.output, temperature=2.0))
    function = trace(keras_model(run, "cnn"), hot)
    actual = np.concatenate([np.asarray(function(p[None])) for p in pixels])
    # softmax(z / 2) is proportional to the square root of softmax(z).
    expected = np.sqrt(plain) / np.sqrt(plain).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(actual, expected, atol=1e-5)


@given(st.lists(st.integers(0, 12), min_size=2, max_size=6), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_calibration_images_are_spread_over_the_classes(counts: list[int], wanted: int, seed: int) -> None:
    labels = [f"class {i}" for i in range(len(counts))]
    images = [
        LabelledImage(Path(f"{label}/{n}.png"), label)
        for label, count in zip(labels, counts, strict=True)
        for n in range(count)
    ]
    chosen = order_by_turns(images, labels, seed)[:wanted]
    assert len(chosen) == len(set(chosen)) == min(wanted, sum(counts))
    per_class = Counter(image.label for image in chosen)
    fair = max(per_class.values(), default=0)
    for label, available in zip(labels, counts, strict=True):
        assert per_class[label] >= min(available, fair - 1)
    assert chosen == order_by_turns(images, labels, seed)[:wanted]


def test_calibration_set_holds_a_zero_and_a_255_and_no_unreadable_image(
    run: Path, shapes: Path, tmp_path: Path
) -> None:
    card = ModelCard.from_json((run / "cnn" / "card.json").read_bytes())
    (tmp_path / "bad.png").write_bytes(b"")
    good = Split.read(run).subset("train", shapes)[:3]
    bad = LabelledImage(tmp_path / "bad.png", "blue 3")
    calibration = load_calibration([bad, *good], 2, card)
    assert calibration.info.images == 2
    assert [file.path for file in calibration.skipped] == [str(bad.path)]
    assert sum(calibration.info.per_class.values()) == 2
    assert (calibration.pixels.min(), calibration.pixels.max()) == (0, 255)
    with pytest.raises(ConversionError, match="None of the 1 training images"):
        load_calibration([bad], 1, card)
