"""Golden examples: no photo is in a file unless asked for, and a runtime that is fed wrongly shows."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from edge_classify.benchmarks.scoring.predict import read_pixels
from edge_classify.benchmarks.scoring.split import Split
from edge_classify.convert.golden import FAULTS, Fault, choose_patterns, choose_photos
from edge_classify.convert.patterns import draw_pattern
from edge_classify.convert.recipes import DEFAULT_VARIANTS
from edge_classify.edge.appended import read_entry
from edge_classify.edge.card import FORMAT, InputSpec, ModelCard
from edge_classify.edge.classifier import Classifier, Prediction
from edge_classify.edge.default_model import DEFAULT_MODEL
from edge_classify.edge.image import load_image
from edge_classify.edge.modelfile import ModelFile
from edge_classify.edge.proof import self_check
from edge_classify.edge.tflite.metadata import append_files
from edge_classify.edge.tflite.sealing import complete_card, seal
from numpy.typing import NDArray

from .support.conversion import convert
from .support.tiny_model import SIDE, TinyModel, card, classifier, golden_pixels, write_sealed

FILES = [f"{model}_{variant}.tflite" for model in ("cnn", "mobilenet_v2") for variant in DEFAULT_VARIANTS]
# Drawn for a model until enough are clear; see convert/golden.py.
MOST_PATTERNS = 96


def card_of(path: Path) -> ModelCard:
    found = ModelFile.read(path).card
    assert found is not None
    return found


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    return [np.asarray(load_image(read_entry(path, example.image))) for example in card_of(path).golden]


def is_drawn(pixels: NDArray[np.uint8]) -> bool:
    """Return whether the picture is made of a seed alone."""
    height, width, _ = pixels.shape
    return any((draw_pattern(seed, height, width) == pixels).all() for seed in range(MOST_PATTERNS))


def chunks(png: bytes) -> Iterator[bytes]:
    """Yield the names of a PNG's chunks."""
    place = 8
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        yield png[place + 4 : place + 8]
        place += length + 12


@pytest.mark.parametrize("name", FILES)
def test_file_carries_drawn_patterns_of_two_answers_and_no_photo(converted: Path, name: str) -> None:
    path = converted / name
    examples = card_of(path).golden
    assert [example.kind for example in examples] == ["pattern", "pattern"]
    assert all(is_drawn(pixels) for pixels in pictures(path))
    assert len({int(np.argmax(example.expected)) for example in examples}) == 2


@pytest.mark.parametrize("name", FILES)
def test_no_difference_within_the_tolerance_flips_a_patterns_answer(converted: Path, name: str) -> None:
    for example in card_of(converted / name).golden:
        second, first = sorted(example.expected)[-2:]
        assert first - second > 2 * example.tolerance


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.words)
@pytest.mark.parametrize("path", [*FILES, DEFAULT_MODEL], ids=str)
def test_self_check_notices_a_runtime_that_is_fed_wrongly(
    path: str | Path, fault: Fault, converted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_it_should = Classifier.classify_pixels

    def wrongly(self: Classifier, pixels: NDArray[np.uint8], top: int = 1) -> Prediction:
        return as_it_should(self, np.ascontiguousarray(fault.change(pixels)), top)

    assert self_check(converted / path).passed
    monkeypatch.setattr(Classifier, "classify_pixels", wrongly)
    assert not self_check(converted / path).passed


def test_golden_pictures_hold_pixels_and_nothing_else(converted: Path) -> None:
    for example in card_of(converted / FILES[0]).golden:
        found = list(chunks(read_entry(converted / FILES[0], example.image)))
        assert set(found) == {b"IHDR", b"IDAT", b"IEND"}


def test_photos_that_are_asked_for_are_scored_images_of_two_classes(
    run: Path, shapes: Path, tmp_path: Path
) -> None:
    result = convert(run / "cnn", "--variant", "float32", "--golden", "photos", "-o", tmp_path)
    assert result.exit_code == 0, result.stderr
    path = tmp_path / "cnn_float32.tflite"
    own = card_of(path)
    assert [example.kind for example in own.golden] == ["photo", "photo"]
    scored = [
        (read_pixels(image, own.input, own.preprocess), image.label)
        for image in Split.read(run).subset("test", shapes)
    ]
    labels = [label for golden in pictures(path) for pixels, label in scored if (pixels == golden).all()]
    assert len(set(labels)) == 2
    assert self_check(path).passed


def test_photos_of_a_model_that_comes_without_any_are_refused_before_the_work(
    converted: Path, tmp_path: Path
) -> None:
    source = converted / "cnn_float32.tflite"
    result = convert(source, "--variant", "float32", "--golden", "photos", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "--golden photos finds none. Name some with --data or --calibration" in result.stderr
    assert not (tmp_path / "out").exists()
    plain = convert(source, "--variant", "float32", "-o", tmp_path / "out")
    assert plain.exit_code == 0, plain.stderr
    assert self_check(tmp_path / "out" / "cnn_float32_float32.tflite").passed


def green_sees() -> bytes:
    """Return a sealed classifier of two classes that looks at the mean of green alone."""
    model = TinyModel()
    image, axes = model.tensor("image", (1, SIDE, SIDE, 3)), model.tensor("axes", (2,), [1, 2], "int32")
    mean = model.tensor("mean", (1, 3))
    model.operator("MEAN", [image, axes], [mean], schema.ReducerOptionsT())
    weights = model.tensor("weights", (2, 3), [[0, 1 / 32, 0], [0, 0, 0]])
    bias = model.tensor("bias", (2,), [-4, 0])
    logits, result = model.tensor("logits", (1, 2)), model.tensor("probability", (1, 2))
    model.operator("FULLY_CONNECTED", [mean, weights, bias], [logits], schema.FullyConnectedOptionsT())
    model.operator("SOFTMAX", [logits], [result], schema.SoftmaxOptionsT(beta=1.0))
    flatbuffer = model.pack([image], [result])
    plain = ModelCard("green", ("green", "other"), InputSpec(SIDE, SIDE, "float32"))
    return seal(flatbuffer, complete_card(flatbuffer, plain, "float32"))


def test_fault_that_no_example_can_show_is_said() -> None:
    choice = choose_patterns(green_sees(), 0.01)
    assert choice.hidden == ("red and blue are swapped",)
    assert "answered alike where red and blue are swapped: --self-check would not" in choice.describe_hidden()
    assert len({int(example.expected.argmax()) for example in choice.examples}) == 2


def test_grey_photos_hide_swapped_colours_and_patterns_show_them(tmp_path: Path) -> None:
    sealed = write_sealed(tmp_path / "m.tflite").read_bytes()
    grey = [np.repeat(golden_pixels(seed)[..., :1], 3, 2) for seed in range(3)]
    assert "red and blue are swapped" in choose_photos(sealed, grey, 0.01).hidden
    assert choose_patterns(sealed, 0.01).hidden == ()


def test_patterns_differ_with_the_seed_and_fill_inputs_of_every_size() -> None:
    assert not (draw_pattern(0, 32, 32) == draw_pattern(1, 32, 32)).all()
    for height, width in ((1, 1), (1, 7), (300, 20), (257, 1024)):
        pixels = draw_pattern(5, height, width)
        assert pixels.shape == (height, width, 3)
        assert np.ptp(pixels) > 0


@pytest.fixture
def with_photos(tmp_path: Path) -> Path:
    """A file as edge-convert made it when two photos were in every file."""
    path = tmp_path / "old.tflite"
    write_sealed(path)
    file = ModelFile.read(path)
    assert file.card is not None
    text = file.card.to_json().replace(f'"format": "{FORMAT}"', '"format": "1.2"')
    old = {**json.loads(text), "conversion": {"variant": "float32", "recipe": {}}}
    for example in old["golden"]:
        del example["kind"]
    names = [example.image for example in file.card.golden]
    entries = [("labels.txt", read_entry(path, "labels.txt")), ("card.json", json.dumps(old).encode())]
    entries += [(name, read_entry(path, name)) for name in names]
    path.write_bytes(append_files(path.read_bytes()[: file.zip_offset], entries))
    return path


def test_photos_of_a_finished_file_are_replaced_and_its_answers_stay(
    with_photos: Path, tmp_path: Path
) -> None:
    before = convert("--inspect", with_photos).stdout
    assert "- 2 golden examples, probably photos of its data set (golden_0.png, golden_1.png)" in before
    result = convert("--without-photos", with_photos, "-o", tmp_path / "new")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'new' / 'old.tflite'}\n")
    path = tmp_path / "new" / "old.tflite"
    assert all(is_drawn(pixels) for pixels in pictures(path)) and self_check(path).passed
    assert "- 2 golden examples, drawn patterns: no photo" in convert("--inspect", path).stdout
    old, new = Classifier.from_file(with_photos), Classifier.from_file(path)
    pixels = golden_pixels(7)
    assert (old.classify_pixels(pixels).probabilities == new.classify_pixels(pixels).probabilities).all()
    assert card_of(path).labels == card_of(with_photos).labels


def test_finished_file_is_neither_overwritten_nor_made_of_another_programs(
    with_photos: Path, tmp_path: Path
) -> None:
    result = convert("--without-photos", with_photos, "-o", tmp_path)
    assert result.exit_code == 1 and "--force" in result.stderr
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(classifier())
    refused = convert("--without-photos", bare, "-o", tmp_path / "new")
    assert refused.exit_code == 1 and "was not made by edge-convert" in refused.stderr
    missing = convert("--without-photos", tmp_path / "none.tflite", "-o", tmp_path / "new")
    assert missing.exit_code == 1 and "none.tflite: no such file" in missing.stderr
    assert not (tmp_path / "new").exists()


def test_default_model_carries_no_photo() -> None:
    assert all(is_drawn(pixels) for pixels in pictures(DEFAULT_MODEL))
    assert [example.kind for example in card_of(DEFAULT_MODEL).golden] == ["pattern"] * 2


def test_golden_examples_kind_is_sealed_into_the_card(tmp_path: Path) -> None:
    flatbuffer = classifier()
    plain = complete_card(flatbuffer, card(), "float32")
    (first, second) = choose_patterns(seal(flatbuffer, plain), 0.01).examples
    path = tmp_path / "m.tflite"
    path.write_bytes(seal(flatbuffer, plain, [first, replace(second, kind="photo")]))
    assert [example.kind for example in card_of(path).golden] == ["pattern", "photo"]
    assert "- 1 photo, as golden examples (golden_1.png)" in convert("--inspect", path).stdout
