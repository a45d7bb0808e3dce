"""Models that were trained on BGR: their files take RGB, and every command can be told so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from edge_classify.benchmarks.stages.cold import runner_options
from edge_classify.edge.card import ModelCard
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.cli import main as classify
from edge_classify.edge.errors import CardError, ModelFileError
from edge_classify.edge.foreign import ForeignFacts
from edge_classify.edge.modelfile import ModelFile, Normalization
from edge_classify.edge.runtime import Execution
from edge_classify.edge.tensors import TensorSpec, to_tensor
from numpy.typing import NDArray
from PIL import Image

from .support.conversion import convert
from .support.foreign import (
    LABELS,
    answers,
    convert_foreign,
    head,
    network,
    noise,
    require_refusal,
    save,
    save_tflite,
    write_colours,
    write_labels,
)
from .support.tiny_foreign import Foreign
from .support.tiny_model import CARD

# Of red, green and blue, in this order, also for a model that takes BGR.
SCALING = "124,116,104,58,57,56"


def _as_trained(model: Any, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what the model itself gives for pictures in BGR, scaled as in its training."""
    scaled = (pixels - np.array([124.0, 116, 104])) / np.array([58.0, 57, 56])
    return np.asarray(model(tf.constant(scaled[..., ::-1], tf.float32)))


def _exchanged(folder: Path, root: Path) -> Path:
    """Write the pictures of class folders with red and blue exchanged."""
    for path in sorted(folder.glob("*/*.png")):
        (root / path.parent.name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(Image.open(path))[..., ::-1].copy()).save(
            root / path.parent.name / path.name
        )
    return root


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".keras", ".tflite"])
def test_each_variant_of_a_bgr_model_answers_as_the_model_does_for_bgr(suffix: str, tmp_path: Path) -> None:
    path, model = tmp_path / f"m{suffix}", network(head)
    save_tflite(model, path) if suffix == ".tflite" else save(model, path)
    pictures = write_colours(tmp_path / "rgb", 10)
    variants = ["float32", "float16", "dynamic", "int8", "int8-float-io"]
    chosen = [word for variant in variants[1:] for word in ("--variant", variant)]
    bgr = convert_foreign(
        path, tmp_path / "bgr", "--color", "BGR", "--calibration", pictures, *chosen, scale=SCALING
    )
    assert bgr.exit_code == 0, bgr.stderr
    assert "it was trained on BGR: the exchange of red and blue was added" in bgr.stderr
    # The same model, fed exchanged pictures, with the scaling of its own three channels.
    own = _exchanged(pictures, tmp_path / "own")
    done = convert_foreign(
        path, tmp_path / "plain", "--calibration", own, *chosen, scale="104,116,124,56,57,58"
    )
    assert done.exit_code == 0, done.stderr
    pixels = noise(12)
    as_trained = _as_trained(model, pixels)
    assert np.abs(answers(tmp_path / "bgr" / "m_float32.tflite", pixels) - as_trained).max() < 1e-5
    for variant in variants:
        name = f"m_{variant}.tflite"
        found = answers(tmp_path / "bgr" / name, pixels)
        assert np.abs(found - answers(tmp_path / "plain" / name, pixels[..., ::-1])).max() < 1e-6, variant
        card = ModelFile.read(tmp_path / "bgr" / name).card
        assert card is not None
        assert (card.input.color, card.input.trained_color) == ("RGB", "BGR")


def test_file_that_is_converted_again_still_says_what_it_was_trained_on(tmp_path: Path) -> None:
    path = save(network(head), tmp_path / "m.keras")
    assert convert_foreign(path, tmp_path / "o", "--color", "bgr").exit_code == 0
    made = tmp_path / "o" / "m_float32.tflite"
    again = convert(made, "-o", tmp_path / "again", "--variant", "float32")
    assert again.exit_code == 0, again.stderr
    card = ModelFile.read(tmp_path / "again" / "m_float32_float32.tflite").card
    assert card is not None
    assert card.input.trained_color == "BGR"
    assert np.allclose(
        answers(made, noise()), answers(tmp_path / "again" / "m_float32_float32.tflite", noise())
    )
    shown = convert("--inspect", made)
    assert "trained on BGR: the graph exchanges the colours" in shown.stdout


def test_option_is_refused_where_it_means_nothing(tmp_path: Path) -> None:
    path = save(network(head), tmp_path / "m.keras")
    convert_foreign(path, tmp_path / "o")
    carded, output = tmp_path / "o" / "m_float32.tflite", tmp_path / "new"
    require_refusal(
        convert(carded, "--color", "BGR", "-o", output),
        "preprocessing: --color is for models that carry none",
        output,
    )
    grey = save(network(head, (12, 12, 1)), tmp_path / "grey.keras")
    refused = convert_foreign(grey, output, "--color", "BGR")
    require_refusal(refused, "takes grey pictures, which have no order of colours: leave out --color", output)
    with pytest.raises(ModelFileError, match="--color is for models that carry none"):
        Classifier.from_file(carded, color="BGR")
    with pytest.raises(ModelFileError, match="grey pictures"):
        Classifier.from_file(
            Foreign(input_shape=(1, 8, 8, 1)).build(), None, Normalization((127.5,), (127.5,)), color="BGR"
        )


@pytest.mark.parametrize("given", ["float32", "uint8", "int8"])
@pytest.mark.parametrize("shape", [(1, 8, 8, 3), (1, 3, 8, 8)])
def test_runner_exchanges_the_colours_for_a_file_without_a_card(given: str, shape: tuple[int, ...]) -> None:
    model = Foreign(given=given, input_shape=shape).build()
    scaling = Normalization((127.5,), (127.5,)) if given == "float32" else None
    rgb = Classifier.from_file(model, LABELS, scaling)
    bgr = Classifier.from_file(model, LABELS, scaling, color="BGR").clone()
    red = np.full((8, 8, 3), (200, 90, 20), np.uint8)
    assert (rgb.classify_pixels(red).best.label, bgr.classify_pixels(red).best.label) == ("red", "blue")
    assert np.array_equal(
        bgr.classify_pixels(red).probabilities, rgb.classify_pixels(red[..., ::-1].copy()).probabilities
    )


def test_means_are_those_of_red_green_and_blue_in_both_orders() -> None:
    spec = TensorSpec(0, (1, 1, 1, 3), "float32", 0.0, 0)
    scaling = Normalization((1.0, 2.0, 3.0), (10.0, 20.0, 30.0))
    pixel = np.array([[[11, 42, 93]]], np.uint8)
    assert to_tensor(pixel, spec, scaling).ravel().tolist() == [1, 2, 3]
    assert to_tensor(pixel, spec, scaling, "BGR").ravel().tolist() == [3, 2, 1]


def test_command_line_carries_the_option_to_the_runner(tmp_path: Path) -> None:
    model = Foreign().write(tmp_path / "m.tflite")
    Image.new("RGB", (8, 8), (200, 90, 20)).save(tmp_path / "red.png")
    labels = write_labels(tmp_path / "labels.txt")
    scaling = Normalization((127.5,), (127.5,))
    words = runner_options(model, Execution(), labels, ForeignFacts(normalization=scaling, color="BGR"))
    assert "--color=BGR" in words
    done = CliRunner().invoke(classify, [str(tmp_path / "red.png"), *words])
    assert done.exit_code == 0, done.stderr
    assert "blue" in done.stdout.split("\n")[0]


def test_card_of_an_older_version_means_rgb_and_another_order_is_refused() -> None:
    card = ModelCard(**{**_plain(), "format": "1.2"})
    assert card.input.trained_color == "RGB"
    with pytest.raises(CardError, match=r"input.trained_color must be one of: RGB, BGR. Received: GBR"):
        replace(card.input, trained_color="GBR")


def _plain() -> dict[str, Any]:
    card = ModelCard.from_json(json.dumps(CARD))
    return {"name": card.name, "labels": card.labels, "input": card.input}
