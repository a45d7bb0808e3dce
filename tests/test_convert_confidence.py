"""Temperature and threshold of converted files, on a model whose true temperature is known.

Each image is one colour, from which the model reads the three logits; the true class is drawn from the
softmax of these. So the model is calibrated, until its weights are multiplied.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_classify.benchmarks.scoring.confidence import apply_temperature, choose_threshold
from edge_classify.benchmarks.scoring.labelled import labelled_images
from edge_classify.benchmarks.scoring.predict import read_pixels, true_indices
from edge_classify.benchmarks.scoring.split import Split, SplitImage
from edge_classify.edge.card import FORMAT, InputSpec, ModelCard, OutputSpec
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.labelled import LabelledImage
from numpy.typing import NDArray
from PIL import Image

from .support.commands import run_command
from .support.conversion import convert, keras_model

LABELS = ("red", "green", "blue")
COUNTS = {"train": 20, "validation": 500, "test": 150}
SLOPE, SHARPENED = 8.0, 3.0
CARD = ModelCard("colours", LABELS, InputSpec(8, 8, "float32"), output=OutputSpec(threshold_precision=0.8))


def write_colours(run: Path) -> None:
    rng = np.random.default_rng(0)
    images = []
    for subset, count in COUNTS.items():
        (run / "images" / subset).mkdir(parents=True)
        for number in range(count):
            colour = rng.integers(0, 256, 3)
            powers = np.exp(colour / 255 * SLOPE)
            name = f"{subset}/{number:03d}.png"
            Image.new("RGB", (8, 8), tuple(map(int, colour))).save(run / "images" / name)
            digest = hashlib.sha256((run / "images" / name).read_bytes()).hexdigest()
            label = str(rng.choice(LABELS, p=powers / powers.sum()))
            images.append(SplitImage(name, digest, label, subset))
    Split("images", LABELS, tuple(images)).write(run)


def write_model(run: Path, card: ModelCard, name: str = "net", activation: str = "softmax") -> None:
    import keras

    inputs = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    dense = keras.layers.Dense(3, activation=activation)
    outputs = dense(pooled)
    if activation != "softmax":
        outputs = keras.layers.Softmax()(outputs)
    dense.set_weights([np.eye(3) * SLOPE * SHARPENED, np.zeros(3)])
    (run / name).mkdir(exist_ok=True)
    keras.Model(inputs, outputs).save(run / name / "model.keras")
    (run / name / "card.json").write_text(card.to_json())


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an overconfident model, whose card says temperature 1 and precision 0.8."""
    run = tmp_path_factory.mktemp("colours")
    write_colours(run)
    write_model(run, CARD)
    return run


@pytest.fixture(scope="module")
def refitted(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the four variants, and what was said on stderr."""
    output = tmp_path_factory.mktemp("refitted")
    result = convert(colours / "net", "--output", output, "--max-drop", "100")
    assert result.exit_code == 0, result.stderr
    return output, result.stderr


def outputs_of(file: Path, images: list[LabelledImage]) -> NDArray[np.float32]:
    classifier = Classifier.from_file(file)
    pixels = (read_pixels(image, classifier.spec, classifier.preprocess) for image in images)
    return np.stack([classifier.classify_pixels(p).probabilities for p in pixels])


def card_of(file: Path) -> ModelCard:
    card = Classifier.from_file(file).file.card
    assert card is not None
    return card


@pytest.mark.parametrize("variant", ["float32", "float16", "dynamic", "int8"])
def test_overconfident_model_gets_its_true_temperature_in_every_variant(
    refitted: tuple[Path, str], variant: str
) -> None:
    folder, said = refitted
    card = card_of(folder / f"net_{variant}.tflite")
    assert card.output.temperature == pytest.approx(SHARPENED, rel=0.1)
    assert f"net: {variant} is too sure: temperature" in said
    assert card.accuracy is not None and card.accuracy.ece_uncalibrated is not None
    assert card.accuracy.ece < card.accuracy.ece_uncalibrated / 2


def test_float_output_of_an_8_bit_softmax_gets_the_temperature_of_the_8_bit_one(
    colours: Path, refitted: tuple[Path, str], tmp_path: Path
) -> None:
    result = convert(colours / "net", "--output", tmp_path, "--variant", "int8-float-io", "--max-drop", "100")
    assert result.exit_code == 0, result.stderr
    same = [refitted[0] / "net_int8.tflite", tmp_path / "net_int8-float-io.tflite"]
    assert len({card_of(file).output.temperature for file in same}) == 1


def test_float32_file_applies_the_cards_temperature_exactly_once(
    colours: Path, refitted: tuple[Path, str]
) -> None:
    file = refitted[0] / "net_float32.tflite"
    images = labelled_images(colours).images
    pixels = np.stack([read_pixels(image, CARD.input, CARD.preprocess) for image in images])
    plain = keras_model(colours, "net").predict(pixels.astype(np.float32), verbose=0)
    expected = apply_temperature(plain, card_of(file).output.temperature)
    np.testing.assert_allclose(outputs_of(file, images), expected, atol=1e-4)
    accuracy = card_of(file).accuracy
    assert accuracy is not None and (accuracy.float_agreement, accuracy.keras_difference) == (1.0, 0.0)


@pytest.mark.parametrize("variant", ["float32", "int8"])
def test_threshold_is_chosen_from_the_variants_own_validation_outputs(
    colours: Path, refitted: tuple[Path, str], variant: str
) -> None:
    file = refitted[0] / f"net_{variant}.tflite"
    images = Split.read(colours).subset("validation", colours / "images")
    chosen = choose_threshold(outputs_of(file, images), true_indices(images, LABELS), 0.8)
    card = card_of(file)
    assert chosen is not None and 0.4 < chosen.value < 1
    assert (card.output.threshold, card.output.threshold_precision) == (chosen.value, 0.8)
    assert card.accuracy is not None and card.accuracy.coverage is not None
    assert 0 < card.accuracy.coverage < 1
    assert card.accuracy.selective_accuracy is not None
    assert card.accuracy.selective_accuracy > max(card.accuracy.top1, 0.78)
    summary = json.loads((refitted[0] / "conversion.json").read_text())
    (item,) = [item for item in summary["files"] if item["variant"] == variant]
    for key in ("threshold", "temperature", "threshold_precision"):
        assert item[key] == getattr(card.output, key)
    for key in ("ece", "ece_uncalibrated", "coverage", "selective_accuracy"):
        assert item[key] == getattr(card.accuracy, key)


def test_runner_is_unsure_below_the_threshold_in_text_and_json(
    refitted: tuple[Path, str], tmp_path: Path, json_lines: Callable[[str], list[dict[str, Any]]]
) -> None:
    model = refitted[0] / "net_int8.tflite"
    Image.new("RGB", (8, 8), (120, 125, 118)).save(tmp_path / "grey.png")
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "red.png")
    text = run_command("edge-classify", "--model", model, tmp_path).stdout.splitlines()
    assert [line.split("  ")[1].split()[0] for line in text] == ["unsure", "red"]
    assert "(green" in text[0]
    records = json_lines(run_command("edge-classify", "--model", model, tmp_path, "--json").stdout)
    assert [record["unsure"] for record in records] == [True, False]
    assert records[0]["predictions"][0]["label"] == "green"


def test_temperature_that_fits_already_is_not_fitted_again(colours: Path, tmp_path: Path) -> None:
    fitting = replace(CARD, output=replace(CARD.output, temperature=SHARPENED, threshold=0.123))
    write_model(colours, fitting, "fitting")
    result = convert(colours / "fitting", "--output", tmp_path, "--variant", "float32")
    assert "too sure" not in result.stderr and "not sure enough" not in result.stderr
    card = card_of(tmp_path / "fitting_float32.tflite")
    assert card.output.temperature == SHARPENED
    assert card.output.threshold is not None and card.output.threshold > 0.4


def test_refitted_variant_made_alone_has_the_same_bytes(
    colours: Path, refitted: tuple[Path, str], tmp_path: Path
) -> None:
    convert(colours / "net", "--output", tmp_path, "--variant", "int8", "--max-drop", "100")
    name = "net_int8.tflite"
    assert (tmp_path / name).read_bytes() == (refitted[0] / name).read_bytes()


def test_precision_that_cannot_be_shown_gives_no_threshold_and_says_so(colours: Path, tmp_path: Path) -> None:
    write_model(colours, replace(CARD, output=OutputSpec(threshold=0.5, threshold_precision=1.0)), "strict")
    result = convert(colours / "strict", "--output", tmp_path, "--variant", "float32")
    assert "is never unsure: no threshold shows a precision of 100.0%" in result.stderr
    assert card_of(tmp_path / "strict_float32.tflite").output.threshold is None


def test_card_without_a_stated_precision_keeps_its_threshold(colours: Path, tmp_path: Path) -> None:
    write_model(colours, replace(CARD, output=OutputSpec(threshold=0.5)), "plain")
    convert(colours / "plain", "--output", tmp_path, "--variant", "float32")
    assert card_of(tmp_path / "plain_float32.tflite").output.threshold == 0.5


def test_without_validation_images_temperature_and_threshold_stay_and_this_is_said(
    colours: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "test").symlink_to(colours / "images" / "test")
    output = OutputSpec(temperature=2.0, threshold=0.6, threshold_precision=0.8)
    write_model(colours, replace(CARD, output=output), "kept")
    arguments = (colours / "kept", "--output", tmp_path / "out", "--variant", "float32", "--data", data)
    result = convert(*arguments)
    assert result.exit_code == 0, result.stderr
    assert "no validation images here" in result.stderr
    card = card_of(tmp_path / "out" / "kept_float32.tflite")
    assert (card.output.temperature, card.output.threshold) == (2.0, 0.6)
    (data / "validation").mkdir()
    (data / "validation" / "007.png").write_bytes(b"")
    result = convert(*arguments, "--force")
    assert result.exit_code == 1
    assert "no validation image can be read" in result.stderr
    assert "007.png has changed since training" in result.stderr


def test_model_that_takes_no_temperature_is_converted_and_called_too_sure(
    colours: Path, tmp_path: Path
) -> None:
    write_model(colours, CARD, "odd", activation="relu")  # Fused with the layer that gives the logits.
    result = convert(colours / "odd", "--output", tmp_path, "--variant", "float32")
    assert result.exit_code == 0, result.stderr
    assert "too sure, and stays so" in result.stderr
    assert card_of(tmp_path / "odd_float32.tflite").output.temperature == 1.0


def test_card_of_an_older_format_becomes_one_of_this_format(colours: Path, tmp_path: Path) -> None:
    write_model(colours, replace(CARD, format="1.0"), "old")
    convert(colours / "old", "--output", tmp_path, "--variant", "float32")
    assert card_of(tmp_path / "old_float32.tflite").format == FORMAT
