"""Teachable Machine's image projects, by the source of its library and of its converter.

googlecreativelab/teachablemachine-community, @teachablemachine/image 0.8: libraries/image/src
(teachable-mobilenet.ts, custom-mobilenet.ts, utils) for the training; libraries/image/test/image.test.ts for
50 epochs, batches of 16, a rate of 0.001 and 100 units with MobileNetV2; snippets/converter/image/api.py for
the conversion; snippets/markdown/image/tensorflow/keras.md for what a user feeds.
"""

from __future__ import annotations

import math
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
EPOCHS, BATCH, RATE, UNITS = 50, 16, 0.001, 100
VALIDATION = 0.15  # Of each class, rounded up; it is only shown.


class TeachableMachine:
    """MobileNetV2 frozen, a dense layer of 100, the centre square of each photo; int8."""

    title = "Teachable Machine"
    variant = "int8"

    def picture(self, path: Path) -> NDArray[np.float32]:
        """Return what the network takes, -1..1."""
        return pictures.centre_square(path, SIZE) / np.float32(127.5) - np.float32(1)

    def train(self, images: Sequence[LabelledImage], labels: Sequence[str], weights: str, seed: int) -> Any:
        """Train on what is left of each class; the order is drawn once, and stays."""
        rng = np.random.default_rng(seed)
        learned: list[LabelledImage] = []
        for label in labels:
            own = [image for image in images if image.label == label]
            kept = len(own) - math.ceil(VALIDATION * len(own))
            learned += [own[number] for number in rng.permutation(len(own))[:kept]]
        learned = [learned[number] for number in rng.permutation(len(learned))]
        body = network.frozen(network.mobilenet_v2(weights, ALPHA, SIZE), 1.0, 0.0)
        found = network.features(body, (self.picture(image.path) for image in learned), len(learned))
        head = keras.Sequential([
            keras.Input(found.shape[1:]),
            layers.Dense(UNITS, activation="relu", kernel_initializer=keras.initializers.VarianceScaling()),
            layers.Dense(
                len(labels),
                activation="softmax",
                use_bias=False,
                kernel_initializer=keras.initializers.VarianceScaling(),
            ),
        ])  # fmt: skip
        head.compile(keras.optimizers.Adam(RATE), "categorical_crossentropy")
        truth = network.one_hot([labels.index(image.label) for image in learned], len(labels))
        head.fit(found, truth, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0)
        return network.joined(body, head)

    def convert(self, model: Any, images: Sequence[LabelledImage], seed: int) -> bytes:
        """Calibrate with every image that was uploaded."""
        return network.convert(model, (self.picture(image.path) for image in images))
