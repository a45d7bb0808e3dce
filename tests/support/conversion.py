"""edge-convert in this process, and what its tests need of a training run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result
from edge_classify.benchmarks.scoring.labelled import labelled_images
from edge_classify.benchmarks.scoring.predict import read_pixels
from edge_classify.convert.cli import main
from edge_classify.edge.card import ModelCard


def convert(*arguments: object) -> Result:
    """Run edge-convert in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def keras_model(run: Path, name: str) -> Any:
    """Load a trained model of a run."""
    import keras

    return keras.models.load_model(run / name / "model.keras", compile=False)


def evaluation_pixels(run: Path, card: ModelCard) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a run's test images as the model's input."""
    images = labelled_images(run).images
    return np.stack([read_pixels(image, card.input, card.preprocess) for image in images])


def copy_run(run: Path, tmp_path: Path) -> Path:
    """Return a copy of a run with only its CNN."""
    copy = tmp_path / "run"
    copy.mkdir()
    shutil.copytree(run / "cnn", copy / "cnn")
    shutil.copy(run / "split.json", copy)
    return copy
