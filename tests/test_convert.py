"""From a trained run to scored files; the numbers are checked against Keras and a bare interpreter."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_classify.benchmarks.scoring.confidence import apply_temperature
from edge_classify.convert.recipes import DEFAULT_VARIANTS
from edge_classify.edge.appended import read_entry
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.image import load_image
from edge_classify.edge.modelfile import ModelFile, Normalization

from .support.conversion import convert, evaluation_pixels, keras_model
from .support.pictures import SHAPES

MODELS = ("cnn", "mobilenet_v2")
FILES = [f"{model}_{variant}.tflite" for model in MODELS for variant in DEFAULT_VARIANTS]


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
def test_float32_file_gives_the_keras_models_probabilities_at_the_cards_temperature(
    run: Path, converted: Path, model: str
) -> None:
    classifier = Classifier.from_file(converted / f"{model}_float32.tflite")
    assert classifier.file.card is not None
    pixels = evaluation_pixels(run, classifier.file.card)
    plain = keras_model(run, model).predict(pixels.astype(np.float32), verbose=0)
    expected = apply_temperature(plain, classifier.file.card.output.temperature)
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
    options = ("--variant", "int8", "--variant", "float32", "--max-drop", "100")
    result = convert(run / "cnn", "--output", tmp_path, *options)
    assert result.exit_code == 0, result.stderr
    for name in ("cnn_int8.tflite", "cnn_float32.tflite"):
        assert (tmp_path / name).read_bytes() == (converted / name).read_bytes()
    assert not list(tmp_path.glob("mobilenet*"))


def test_another_variant_into_the_same_folder_joins_the_summary(run: Path, tmp_path: Path) -> None:
    for variant in ("float32", "float16"):
        assert convert(run / "cnn", "--output", tmp_path / "out", "--variant", variant).exit_code == 0
    summary = json.loads((tmp_path / "out" / "conversion.json").read_text())
    assert [item["variant"] for item in summary["files"]] == ["float32", "float16"]


def test_json_prints_one_object_a_file(
    run: Path, tmp_path: Path, json_lines: Callable[[str], list[dict[str, Any]]]
) -> None:
    result = convert(run / "cnn", "--output", tmp_path / "out", "--variant", "dynamic", "--json")
    (record,) = json_lines(result.stdout)
    assert (record["file"], record["variant"]) == ("cnn_dynamic.tflite", "dynamic")
