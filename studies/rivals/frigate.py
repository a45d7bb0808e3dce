"""Frigate's custom classification, by its source: blakeblackshear/frigate 0.17,
frigate/util/classification.py at commit dea03ea.

Also frigate/data_processing/real_time/custom_classification.py, for what it feeds at run time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from edge_classify.edge.labelled import LabelledImage
from keras import layers
from numpy.typing import NDArray

from studies.rivals import network, pictures

SIZE, ALPHA = 224, 0.35
EPOCHS, BATCH, RATE, UNITS, DROPOUT = 50, 16, 0.001, 128, 0.3
VALIDATION = 0.2  # The first files of each class, by name. They are never looked at.
CALIBRATION = 300


class Frigate:
    """MobileNetV2 frozen, a dense layer of 128; pixels of 0..1, where the weights expect -1..1; int8."""

    title = "Frigate"
    variant = "int8"

    def picture(self, path: Path) -> NDArray[np.float32]:
        """Return what the network takes at run time, 0..1."""
        return pictures.opencv(path, SIZE) / np.float32(255)

    def train(self, images: Sequence[LabelledImage], labels: Sequence[str], weights: str, seed: int) -> Any:
        """Train on the last four fifths of each class; photos are resized by nearest neighbour."""
        learned: list[LabelledImage] = []
        for label in labels:
            own = sorted(
                (image for image in images if image.label == label), key=lambda image: image.path.name
            )
            learned += own[int(VALIDATION * len(own)) :]
        body = network.frozen(network.mobilenet_v2(weights, ALPHA, SIZE), 1.0, 0.0)
        views = (pictures.nearest(image.path, SIZE) / np.float32(255) for image in learned)
        found = network.features(body, views, len(learned))
        head = keras.Sequential([
            keras.Input(found.shape[1:]),
            layers.Dense(UNITS, activation="relu"),
            layers.Dropout(DROPOUT),
            layers.Dense(len(labels), activation="softmax"),
        ])  # fmt: skip
        head.compile(keras.optimizers.Adam(RATE), "categorical_crossentropy")
        truth = network.one_hot([labels.index(image.label) for image in learned], len(labels))
        head.fit(found, truth, batch_size=BATCH, epochs=EPOCHS, verbose=0)
        return network.joined(body, head)

    def convert(self, model: Any, images: Sequence[LabelledImage], seed: int) -> bytes:
        """Calibrate with the first 300 files, which are of the first classes."""
        return network.convert(model, (self.picture(image.path) for image in images[:CALIBRATION]))
