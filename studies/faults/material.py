"""What the commands work on: drawn photos, a network of three classes, and a small data set."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from studies.faults.commands import Material

_PHOTOS = 60
_COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}
_NETWORK = """
import sys, keras, tensorflow as tf
from keras import layers
given = keras.Input((16, 16, 3))
hidden = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 255.0)(given))
result = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(hidden))
made = tf.lite.TFLiteConverter.from_keras_model(keras.Model(given, result)).convert()
open(sys.argv[1], "wb").write(made)
"""


def make_material(folder: Path, seed: int) -> Material:
    """Write everything into an empty folder; takes some ten seconds, for TensorFlow."""
    random = np.random.default_rng(seed)
    photos, data = folder / "photos", folder / "data"
    photos.mkdir()
    for number in range(_PHOTOS):
        blocks = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
        blocks.resize((320, 240), Image.Resampling.NEAREST).save(photos / f"{number:03d}.jpg")
    for label, colour in _COLOURS.items():
        (data / label).mkdir(parents=True)
        for number in range(12):
            noisy = np.clip(random.normal(colour, 40, (24, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(data / label / f"{number}.png")
    labels, model = folder / "labels.txt", folder / "m.tflite"
    labels.write_text("".join(f"{label}\n" for label in _COLOURS))
    subprocess.run([sys.executable, "-c", _NETWORK, str(model)], check=True, capture_output=True)
    return Material(photos, _PHOTOS, model, labels, data)
