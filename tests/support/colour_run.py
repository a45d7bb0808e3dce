"""A run of edge-train whose classes are colours, with a network that 8 bits spoil or leave alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from edge_classify.benchmarks.scoring.split import Split, SplitImage
from edge_classify.edge.card import InputSpec, ModelCard
from PIL import Image

LABELS = ("red", "green", "blue")
SIDE = 8
COUNTS = {"train": 60, "validation": 120, "test": 150}
# The colours' channels are so much smaller than the others of their tensor.
SMALL = 2.0**-10


def write_pictures(run: Path, counts: dict[str, int] = COUNTS) -> None:
    """Write a run's images, `counts` of each subset: the class is the strongest colour, by a little."""
    rng = np.random.default_rng(0)
    images = []
    for subset, count in counts.items():
        (run / "images" / subset).mkdir(parents=True)
        for number in range(count):
            label = number % 3
            pixels = rng.integers(60, 200, (SIDE, SIDE, 3))
            pixels[:, :, label] += 40
            name = f"{subset}/{number:03d}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(run / "images" / name)
            digest = hashlib.sha256((run / "images" / name).read_bytes()).hexdigest()
            images.append(SplitImage(name, digest, LABELS[label], subset))
    Split("images", LABELS, tuple(images)).write(run)


def write_model(folder: Path, small: float) -> None:
    """Write a network that reads the colours from channels that are `small`, beside large ones."""
    import keras

    image = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    mixed = keras.layers.Conv2D(6, 1, name="mixed")
    undone = keras.layers.Conv2D(3, 1, activation="relu", name="undone")
    pooled = keras.layers.GlobalAveragePooling2D()(undone(mixed(x)))
    answer = keras.layers.Dense(3, activation="softmax", name="answer")
    model = keras.Model(image, answer(pooled))
    kernel = np.concatenate([np.eye(3) * small, np.eye(3)], axis=1)
    mixed.set_weights([kernel.reshape(1, 1, 3, 6), np.zeros(6)])
    kernel = np.concatenate([np.eye(3) / small, np.zeros((3, 3))])
    undone.set_weights([kernel.reshape(1, 1, 6, 3), np.zeros(3)])
    answer.set_weights([np.eye(3) * 40, np.zeros(3)])
    folder.mkdir()
    model.save(folder / "model.keras")
    card = ModelCard(folder.name, LABELS, InputSpec(SIDE, SIDE, "float32"))
    (folder / "card.json").write_text(card.to_json())
