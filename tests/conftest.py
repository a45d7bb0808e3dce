"""Data, models and commands that the tests share. All of it is made here; nothing is downloaded."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from .support.commands import run_command
from .support.pictures import write_shapes

# A shell that starts the tests in the background has them and their children ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A busy machine is no reason to fail.
settings.register_profile("calm", deadline=None)
settings.load_profile("calm")


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("data") / "shapes", 30)


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images a class: enough to train on, and quick."""
    return write_shapes(tmp_path_factory.mktemp("few") / "shapes", 6)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the tests out of the user's cache; commands inherit the variable."""
    os.environ["EDGE_CLASSIFY_CACHE"] = str(tmp_path_factory.mktemp("cache"))


TRAIN_OPTIONS = (
    "--epochs", "16,4", "--alpha", "0.35", "--weights", "none", "--image-size", "32", "--batch-size", "16",
)  # fmt: skip


@pytest.fixture(scope="session")
def run(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of edge-train with both models."""
    output = tmp_path_factory.mktemp("run") / "run"
    result = run_command("edge-train", shapes, "--output", output, *TRAIN_OPTIONS)
    assert result.returncode == 0, result.stderr
    return output


@pytest.fixture(scope="session")
def small_run(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch of the CNN on `few`; not to be changed."""
    from .support.training import CNN, start

    folder = tmp_path_factory.mktemp("small")
    status, text = start(folder / "log", few, "-o", folder / "run", *CNN).wait()
    assert status == 0, text
    return folder / "run"


@pytest.fixture(scope="session")
def converted(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the eight .tflite files made from `run`."""
    output = tmp_path_factory.mktemp("converted") / "models"
    # What so small a set loses in int8 is chance, and differs between processors.
    result = run_command("edge-convert", run, "--output", output, "--max-drop", "100")
    assert result.returncode == 0, result.stderr
    return output


@pytest.fixture(scope="session")
def foreign_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models without a card, as other people make them: the class is the strongest of the three colours.

    Input is -1..1; "float32", "uint8" and "int8" name the dtype of input and output, "logits" has no
    softmax.
    """
    import keras
    import tensorflow as tf

    def build(activation: str | None) -> Any:
        inputs = keras.Input(batch_shape=(1, 8, 8, 3))
        pooled = keras.layers.GlobalAveragePooling2D()(inputs)
        outputs = keras.layers.Dense(3, activation=activation)(pooled)
        model = keras.Model(inputs, outputs)
        model.layers[-1].set_weights([np.eye(3) * 4, np.zeros(3)])
        return model

    def samples() -> Any:
        rng = np.random.default_rng(0)
        yield [np.full((1, 8, 8, 3), -1, np.float32)]
        yield [np.full((1, 8, 8, 3), 1, np.float32)]
        for _ in range(20):
            yield [np.broadcast_to(rng.uniform(-1, 1, (1, 1, 1, 3)), (1, 8, 8, 3)).astype(np.float32)]

    folder = tmp_path_factory.mktemp("foreign")
    paths = {}
    for name in ("float32", "uint8", "int8", "logits"):
        converter = tf.lite.TFLiteConverter.from_keras_model(build(None if name == "logits" else "softmax"))
        if name in ("uint8", "int8"):
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = samples
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = getattr(tf, name)
        paths[name] = folder / f"{name}.tflite"
        paths[name].write_bytes(converter.convert())
    return paths


@pytest.fixture
def json_lines() -> Callable[[str], list[dict[str, Any]]]:
    """Parse what --json printed."""
    return lambda text: [json.loads(line) for line in text.splitlines()]
