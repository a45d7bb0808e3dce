"""edge-convert tries other readings of a model that is wrong on labelled images, and says what to type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from edge_classify.benchmarks.cli import main as benchmark
from edge_classify.edge.modelfile import ModelFile
from edge_classify.edge.statistics.chance import Standing, against_chance
from keras import layers
from PIL import Image

from .support.foreign import convert_foreign, save, save_tflite, write_labels

# Shares of red and blue tell the first two, brightness the last two: scaling, colours and order all matter.
PICTURES = {"warm": (200, 110, 40), "cold": (40, 110, 200), "dark": (25, 25, 25), "light": (240, 240, 240)}
SIDE = 12


def _model(scale: float, offset: float, channels: tuple[int, int, int] = (0, 1, 2)) -> Any:
    """Return a network "trained" on pixels * scale + offset, with red, green and blue in these channels."""
    inputs = keras.Input((SIDE, SIDE, 3))
    layer = layers.Dense(4, "softmax")
    model = keras.Model(inputs, layer(layers.GlobalAveragePooling2D()(inputs)))
    # Of pixels 0..1: warm has more red, cold more blue, dark little of all, light much of all.
    weights = np.array([[30.0, -30, -15, 15], [0, 0, -15, 15], [-30, 30, -15, 15]])
    bias = np.array([0.0, 0, 12, -27])
    shown = np.zeros((3, 4))
    shown[list(channels)] = weights / 255 / scale
    bias = bias - offset * weights.sum(axis=0) / 255 / scale
    layer.set_weights([shown, bias])
    return model


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for label, colour in PICTURES.items():
        (root / label).mkdir()
        for number in range(12):
            pixels = np.array(colour) + rng.normal(0, 12, (SIDE, SIDE, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / label / f"{number}.png")
    return root


Kind = Callable[[Any, Path], Path]
KINDS: dict[str, Kind] = {".keras": save, ".tflite": save_tflite}
RIGHT = tuple(PICTURES)
MOVED = ("light", "warm", "cold", "dark")
_ORDER = "--labels with these lines, in this order: warm, cold, dark, light"
# The kind of file, what the model was trained with, the options that are typed, and what is to be typed.
MISTAKES = {
    "colours": (".keras", (1 / 255, 0.0, (2, 1, 0)), "0..1", None, RIGHT, "--color BGR"),
    "scaling": (".tflite", (1 / 127.5, -1.0, (0, 1, 2)), "0..255", None, RIGHT, "--normalization -1..1"),
    "colours and scaling": (
        ".keras", (1 / 127.5, -1.0, (2, 1, 0)), "0..255", None, RIGHT, "--normalization -1..1 --color BGR",
    ),
    "BGR that was not": (".tflite", (1 / 255, 0.0, (0, 1, 2)), "0..1", "BGR", RIGHT, "--color RGB"),
    "labels": (".keras", (1 / 255, 0.0, (0, 1, 2)), "0..1", None, MOVED, _ORDER),
    "labels and scaling": (
        ".tflite", (1 / 127.5, -1.0, (0, 1, 2)), "0..255", None, MOVED, f"--normalization -1..1 and {_ORDER}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_named_with_what_to_type(mistake: str, pictures: Path, tmp_path: Path) -> None:
    suffix, trained, scale, color, labels, remedy = MISTAKES[mistake]
    path = KINDS[suffix](_model(*trained), tmp_path / f"m{suffix}")
    names = write_labels(tmp_path / "given.txt", labels)
    options = ("--data", pictures, *(() if color is None else ("--color", color)))
    done = convert_foreign(path, tmp_path / "o", *options, labels=names, scale=scale)
    told = [line for line in done.stderr.splitlines() if line.startswith("m: Give ")]
    assert told == [f"m: Give {remedy}"] or told[0].startswith(f"m: Give {remedy}; or "), done.stderr
    card = ModelFile.read(tmp_path / "o" / "m_float32.tflite").card
    assert card is not None and card.accuracy is not None
    at_chance = against_chance(card.accuracy) is Standing.NOT_BETTER
    assert done.exit_code == int(at_chance)
    assert ("m is not better than chance: " in done.stderr) == at_chance
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("suffix", KINDS)
def test_what_is_told_makes_the_model_right(suffix: str, pictures: Path, tmp_path: Path) -> None:
    path = KINDS[suffix](_model(1 / 127.5, -1.0, (2, 1, 0)), tmp_path / f"m{suffix}")
    names = write_labels(tmp_path / "labels.txt", RIGHT)
    options = ("--data", pictures, "--color", "BGR")
    done = convert_foreign(path, tmp_path / "o", *options, labels=names, scale="-1..1")
    assert done.exit_code == 0, done.stderr
    assert "chance" not in done.stderr and "Give " not in done.stderr
    card = ModelFile.read(tmp_path / "o" / "m_float32.tflite").card
    assert card is not None and card.accuracy is not None and card.accuracy.top1 == 1


def test_guessing_model_ends_in_status_1_and_says_what_was_tried(pictures: Path, tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((SIDE, SIDE, 3))
    noisy = layers.Dense(4, "softmax", kernel_initializer=keras.initializers.RandomNormal(0, 9))
    # One pixel's noise is all that this model looks at.
    model = keras.Model(
        inputs, noisy(layers.Flatten()(layers.Cropping2D(((3, 8), (3, 8)))(_centred(inputs))))
    )
    path = save(model, tmp_path / "m.keras")
    names = write_labels(tmp_path / "labels.txt", RIGHT)
    done = convert_foreign(path, tmp_path / "o", "--data", pictures, labels=names, scale="0..255")
    assert done.exit_code == 1
    assert "m is not better than chance: " in done.stderr
    (told,) = [line for line in done.stderr.splitlines() if "don't explain it" in line]
    assert "--color BGR" in told and "--normalization -1..1, " in told


def _centred(image: Any) -> Any:
    return layers.LayerNormalization(axis=(1, 2), center=False, scale=False)(image)


def test_benchmark_of_a_file_that_is_never_right_says_why_and_fails(pictures: Path, tmp_path: Path) -> None:
    path = save(_model(1 / 255, 0.0, (2, 1, 0)), tmp_path / "m.keras")
    two = tmp_path / "two"
    two.mkdir()
    for label in ("warm", "cold"):
        (two / label).symlink_to(pictures / label)
    names = write_labels(tmp_path / "labels.txt", RIGHT)
    done = convert_foreign(path, tmp_path / "o", "--calibration", pictures, "--variant", "int8", labels=names)
    assert done.exit_code == 0, done.stderr
    command = ("--data", two, "--budget", "drop=0.1", "--processes", 1, "--runs", 50)
    found = _benchmark(tmp_path / "o" / "m_int8.tflite", *command)
    assert found.exit_code == 1
    assert "m_int8.tflite is not better than chance: 0.0% of 24 images are right" in found.stderr
    assert "m_int8.tflite: Convert it again with --color BGR" in found.stderr
    bare = save_tflite(_model(1 / 255, 0.0, (2, 1, 0)), tmp_path / "bare.tflite")
    options = ("--labels", names, "--normalization", "0..1")
    found = _benchmark(bare, *command, *options)
    assert found.exit_code == 1
    assert "bare.tflite: Give --color BGR" in found.stderr
    fine = _benchmark(bare, *command[:2], *command[4:], *options, "--color", "BGR")
    assert fine.exit_code == 0, fine.stderr
    assert "chance" not in fine.stderr


def _benchmark(*arguments: object) -> Any:
    return CliRunner().invoke(benchmark, [str(argument) for argument in arguments])
