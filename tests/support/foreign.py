"""Small models and images as other people make them with Keras and TensorFlow, for edge-convert."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from click.testing import Result
from edge_classify.edge.classifier import Classifier
from keras import layers
from numpy.typing import NDArray
from PIL import Image

from .conversion import convert

SIZE = 12
# Not in alphabetical order, unlike folders.
LABELS = ("red", "green", "blue")


def network(
    body: Callable[[Any], Any], shape: tuple[int | None, ...] | None = (SIZE, SIZE, 3), **options: Any
) -> Any:
    """Return a Functional model, always with the same weights."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape, **options)
    return keras.Model(inputs, body(inputs))


def head(features: Any, classes: int = 3, activation: str | None = "softmax") -> Any:
    """Return class scores of feature maps."""
    convolved = layers.Conv2D(
        4, 3, activation="relu", kernel_initializer=keras.initializers.RandomNormal(0, 1)
    )
    pooled = layers.GlobalAveragePooling2D()(convolved(features))
    return layers.Dense(classes, activation, kernel_initializer=keras.initializers.RandomNormal(0, 1))(pooled)


def save(model: Any, path: Path) -> Path:
    """Save a Keras model, or as a SavedModel where the name has no suffix."""
    if path.suffix:
        model.save(path)
    else:
        model.export(path, verbose=False)
    return path


def save_tflite(model: Any, path: Path, quantized: bool = False) -> Path:
    """Save a .tflite with the settings that most people use."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if quantized:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    path.write_bytes(converter.convert())
    return path


def save_colour_models(folder: Path, names: Sequence[str]) -> None:
    """Save .tflite models of 8x8 pixels of -1..1 whose class is the strongest of the three colours.

    A name is the name of the file, and the dtype of input and output; "logits" is float32 without softmax.
    """
    folder.mkdir()
    for name in names:
        inputs = keras.Input(batch_shape=(1, 8, 8, 3))
        pooled = layers.GlobalAveragePooling2D()(inputs)
        outputs = layers.Dense(3, activation=None if name == "logits" else "softmax")(pooled)
        model = keras.Model(inputs, outputs)
        model.layers[-1].set_weights([np.eye(3) * 4, np.zeros(3)])
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if name in ("uint8", "int8"):
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = _plain_colours
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = getattr(tf, name)
        (folder / f"{name}.tflite").write_bytes(converter.convert())


def _plain_colours() -> Iterator[list[NDArray[np.float32]]]:
    """Yield images for calibration: black, white, and 20 colours."""
    rng = np.random.default_rng(0)
    colours = [np.full(3, -1.0), np.full(3, 1.0), *rng.uniform(-1, 1, (20, 3))]
    for colour in colours:
        yield [np.broadcast_to(colour, (1, 8, 8, 3)).astype(np.float32)]


def write_labels(path: Path, labels: tuple[str, ...] = LABELS) -> Path:
    """Write a label file."""
    path.write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    return path


def write_colours(root: Path, per_class: int, seed: int = 0) -> Path:
    """Write noisy pictures of three colours."""
    rng = np.random.default_rng(seed)
    for index, label in enumerate(LABELS):
        (root / label).mkdir(parents=True)
        for number in range(per_class):
            pixels = rng.integers(0, 150, (SIZE, SIZE, 3))
            pixels[..., index] += 100
            Image.fromarray(pixels.astype(np.uint8)).save(root / label / f"{number}.png")
    return root


def convert_foreign(model: Path, output: Path, *options: object, labels: Path | None = None,
                    scale: str | None = "0..1", variant: str = "float32") -> Result:  # fmt: skip
    """Run edge-convert on a model; a label file is written beside the model where `labels` is None."""
    labels = labels or write_labels(model.parent / "labels.txt")
    scaling = () if scale is None else ("--normalization", scale)
    return convert(model, "-o", output, "--labels", labels, *scaling, "--variant", variant, *options)


def answers(path: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a .tflite's probabilities for uint8 [n, height, width, 3], as a device runs it."""
    classifier = Classifier.from_file(path)
    return np.stack([classifier.classify_pixels(image).probabilities for image in pixels])


def noise(count: int = 4, size: int = SIZE) -> NDArray[np.uint8]:
    """Return pictures of noise, brighter and darker ones, uint8 [count, size, size, 3]."""
    rng = np.random.default_rng(1)
    return (rng.integers(0, 256, (count, size, size, 3)) * rng.random((count, 1, 1, 3))).astype(np.uint8)


def write_whole(folder: Path) -> Path:
    """Write one good model in each format into `folder`, and return it."""
    for name in ("m.keras", "m.h5", "exported"):
        save(network(head), folder / name)
    save_tflite(network(head), folder / "m.tflite")
    return folder


def require_refusal(result: Result, sentence: str, output: Path, status: int = 1) -> None:
    """Assert that edge-convert refused with one sentence that matches, and left nothing behind."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == status
    message = " ".join(result.stderr.split("Error: ")[-1].split())
    assert re.search(sentence, message), message
    assert len(message) < 450
    assert "Traceback" not in result.stderr and "\x1b" not in result.stderr and r"\x1b" not in result.stderr
    assert not output.exists()
