from __future__ import annotations

import os
from pathlib import Path

import pytest
from edge_classify.edge import Classifier
from edge_classify.edge.default_model import DEFAULT_MODEL, describe_default
from edge_classify.train.built_in import CIFAR10_LABELS
from PIL import Image, ImageDraw

from .support.commands import run_command


@pytest.fixture(scope="module")
def default() -> Classifier:
    return Classifier.from_file(DEFAULT_MODEL)


@pytest.fixture
def ship(tmp_path: Path) -> Path:
    """A dark ship with a mast on a plain sea, drawn: no photo is at hand that may be copied."""
    picture = Image.new("RGB", (256, 256), (170, 200, 230))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 170, 256, 256), fill=(30, 70, 120))
    draw.polygon([(30, 150), (226, 150), (200, 190), (56, 190)], fill=(60, 30, 30))
    draw.rectangle((90, 110, 170, 150), fill=(230, 230, 230))
    draw.rectangle((125, 50, 131, 110), fill=(60, 60, 60))
    path = tmp_path / "ship.png"
    picture.save(path)
    return path


def test_default_model_is_a_sealed_int8_file_of_cifar10s_classes(default: Classifier) -> None:
    card = default.file.card
    assert card is not None and card.training is not None and card.accuracy is not None
    assert card.labels == CIFAR10_LABELS
    assert (card.input.height, card.input.width, card.input.dtype) == (96, 96, "uint8")
    assert card.conversion is not None and card.conversion.variant == "int8"
    assert card.accuracy.images == 10_000 and card.accuracy.top1 > 0.85
    assert card.output.threshold is not None
    assert DEFAULT_MODEL.stat().st_size < 3_500_000


def test_default_models_card_says_where_images_and_initial_weights_come_from(default: Classifier) -> None:
    card = default.file.card
    assert card is not None and card.training is not None
    assert "lossy" in card.training.note and "8-bit" in card.training.note
    assert card.training.weights == "imagenet"


def test_classify_without_a_model_uses_the_default_and_says_what_it_knows(ship: Path) -> None:
    environment = {key: "" for key in os.environ if key == "EDGE_CLASSIFY_MODEL"}
    result = run_command("edge-classify", ship, "--top", "1", env=environment)
    assert result.returncode == 0
    assert "ship" in result.stdout
    assert "only knows airplane, automobile, bird" in result.stderr and "and truck" in result.stderr


def test_classify_with_a_model_says_nothing_of_the_default(ship: Path, converted: Path) -> None:
    result = run_command("edge-classify", ship, "--model", converted / "cnn_int8.tflite")
    assert result.returncode == 0 and "No --model" not in result.stderr


def test_description_of_the_default_ends_in_the_remedy() -> None:
    text = describe_default(("a", "b", "c"))
    assert "a, b and c" in text and "edge-train" in text
