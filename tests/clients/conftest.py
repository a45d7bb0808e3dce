"""Models that tell their classes apart, the pictures that all clients are given, and the clients."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from edge_classify.edge.card import InputSpec, Preprocess
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.image import load_image, to_input
from numpy.typing import NDArray
from PIL import Image

from ..support.commands import run_command
from ..support.pictures import SHAPES, make_picture, write_shapes
from ..support.shared import SharedFolders
from .axe import axe_file
from .chromium import find_chromium
from .environments import find_python, node_modules, or_skip, python_environment

SIDE = 32
COUNT = 100
PER_CLASS = 150  # To train on.
# The sizes and aspect ratios of raw photos, scaled down.
RAW_SIZES = ((48, 40), (40, 64), (160, 120), (90, 160), (34, 98), (320, 240), (128, 128))
# Enough for a MobileNetV2 that is sure of most pictures: one that guesses agrees with another by chance.
MOBILENET = (
    "--model", "mobilenet_v2", "--alpha", "0.35", "--weights", "none", "--image-size", str(SIDE),
    "--folds", "0",
    "--epochs", "20,4", "--learning-rate", "0.003,0.0003", "--patience", "20", "--batch-size", "32",
    "--augment", "none",
)  # fmt: skip
# All whose input and output MediaPipe takes: uint8 or float32.
VARIANTS = ("float32", "float16", "dynamic", "int8", "int8-float-io", "int16x8")


@dataclass(frozen=True)
class Pictures:
    """`paths` of the files, and what Pillow makes of each for the models: uint8 [n, SIDE, SIDE, 3]."""

    paths: Sequence[Path]
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Expected:
    """What edge-classify answers with one model: its labels, and float32 [pictures, labels]."""

    labels: tuple[str, ...]
    probabilities: NDArray[np.float32]

    def agreement(self, names: Sequence[str]) -> float:
        """Return how often a client's best label is also ours; of equally good ones any will do."""
        chosen = [self.labels.index(name) for name in names]
        best = self.probabilities.max(axis=1)
        return float(np.mean(self.probabilities[np.arange(len(chosen)), chosen] == best))


@pytest.fixture(scope="session")
def model_folders(run: Path, shared: SharedFolders) -> list[Path]:
    """Return a trained CNN and a trained MobileNetV2, to be given to edge-convert."""

    def train(folder: Path) -> None:
        pictures = write_shapes(folder / "shapes", PER_CLASS, seed=1000)
        result = run_command("edge-train", pictures, "--output", folder / "run", *MOBILENET)
        assert result.returncode == 0, result.stderr

    return [run / "cnn", shared.folder("mobilenet", train) / "run" / "mobilenet_v2"]


@pytest.fixture(scope="session")
def models(model_folders: list[Path], shared: SharedFolders) -> list[Path]:
    """Return every variant of both models."""

    def make(folder: Path) -> None:
        convert(model_folders, folder, [f"--variant={name}" for name in VARIANTS])

    return sorted(shared.folder("variants", make).glob("*/*.tflite"))


def convert(folders: Sequence[Path], output: Path, options: Sequence[str]) -> list[Path]:
    """Convert the models to `output` and return the files."""
    for folder in folders:
        more = ("--output", output / folder.name, "--max-drop", "100")
        result = run_command("edge-convert", folder, *more, *options)
        assert result.returncode == 0, result.stderr
    return sorted(output.glob("*/*.tflite"))


def expect(model: Path, pictures: Pictures) -> Expected:
    """Run edge-classify's own classifier on the pictures' pixels."""
    classifier = Classifier.from_file(model)
    answers = [classifier.classify_pixels(pixels).probabilities for pixels in pictures.pixels]
    return Expected(classifier.labels, np.stack(answers))


@pytest.fixture(scope="session")
def sized(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """Return pictures already at the input's size; each blends two classes, so that many are hard calls."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(COUNT):
        first, second = (
            make_picture(SHAPES[index], 5000 + number, (SIDE, SIDE))
            for index in rng.choice(3, 2, replace=False)
        )
        made.append(Image.blend(first, second, rng.uniform(0, 0.5)))
    return _save(made, tmp_path_factory.mktemp("sized"), ["png"])


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """Return pictures of other sizes and aspect ratios, as PNG and JPEG.

    Each is drawn at half its size and enlarged: cameras interpolate colours from fewer pixels, too.
    """
    made = []
    for number in range(COUNT):
        width, height = RAW_SIZES[number % len(RAW_SIZES)]
        drawn = make_picture(SHAPES[number % 3], 6000 + number, (width // 2, height // 2))
        made.append(drawn.resize((width, height), Image.Resampling.BICUBIC))
    return _save(made, tmp_path_factory.mktemp("raw"), ["png", "jpg"])


@pytest.fixture(scope="session")
def mediapipe_python() -> Path:
    """Return the interpreter of an environment with MediaPipe."""
    return or_skip(
        lambda: python_environment(
            "mediapipe", sys.executable, "from mediapipe.tasks.python import vision; import mediapipe"
        )
    )


@pytest.fixture(scope="session")
def old_python() -> Path:
    """Return the interpreter of an environment with tflite-runtime 2.14, whose wheels end at Python 3.11."""
    return or_skip(
        lambda: python_environment(
            "tflite-runtime", find_python((3, 11)), "from tflite_runtime.interpreter import Interpreter"
        )
    )


@pytest.fixture(scope="session")
def browser() -> Path:
    """Return Chromium's command."""
    return or_skip(find_chromium)


@pytest.fixture(scope="session")
def packages() -> Path:
    """Return the folder node_modules with LiteRT.js."""
    return or_skip(lambda: node_modules("litertjs", "browser"))


@pytest.fixture(scope="session")
def axe() -> str:
    """Return the source of axe-core."""
    return or_skip(axe_file).read_text(encoding="utf-8")


def _save(made: Sequence[Image.Image], folder: Path, kinds: Sequence[str]) -> Pictures:
    paths = [folder / f"{number:03d}.{kinds[number % len(kinds)]}" for number in range(len(made))]
    for picture, path in zip(made, paths, strict=True):
        picture.save(path)
    spec = InputSpec(SIDE, SIDE, "uint8")
    return Pictures(paths, np.stack([to_input(load_image(path), spec, Preprocess()) for path in paths]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests of the clients measured."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")
