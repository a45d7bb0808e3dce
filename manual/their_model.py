"""Trains a small Keras model as somebody else would: python their_model.py PHOTOS FILE."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
from PIL import Image

_SIDE = 48


def main(photos: Path, target: Path) -> None:
    """Train on class folders, and save the model. Pixels are scaled to -1..1 outside of it."""
    keras.utils.set_random_seed(1)
    paths = sorted(photos.glob("*/*.jpg"))
    names = sorted({path.parent.name for path in paths})
    pixels = np.stack(
        [np.asarray(Image.open(path).resize((_SIDE, _SIDE)), dtype=np.float32) for path in paths]
    )
    classes = np.array([names.index(path.parent.name) for path in paths])
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((_SIDE, _SIDE, 3)),
            *(
                layer
                for filters in (16, 32, 64)
                for layer in (layers.Conv2D(filters, 3, activation="relu"), layers.MaxPooling2D())
            ),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(len(names), activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(pixels / 127.5 - 1, classes, epochs=20, batch_size=16, verbose=0)
    model.save(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
