"""What notebooks do: the two tutorials of TensorFlow that most of them follow, each at its end.

tensorflow.org/tutorials/images/classification ("Image classification") and /transfer_learning ("Transfer
learning and fine-tuning"), from tensorflow/docs; int8 with 100 images as in ai.google.dev's "Post-training
integer quantization".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from edge_classify.edge.labelled import LabelledImage
from keras import layers, optimizers
from numpy.typing import NDArray

from studies.rivals import network, pictures

TRAINED = 0.8  # A fifth is put aside; what it shows chooses nothing.
BATCH = 32
CALIBRATION = 100


class PlainCNN:
    """Three convolutions and a dense layer, from random weights, 15 epochs with augmentation; int8."""

    title = "notebook, CNN"
    variant = "int8"
    size, epochs = 180, 15

    def picture(self, path: Path) -> NDArray[np.float32]:
        """Return what the network takes, 0..255."""
        return pictures.bilinear(path, self.size)

    def train(self, images: Sequence[LabelledImage], labels: Sequence[str], weights: str, seed: int) -> Any:
        """Train on four fifths."""
        learned = _draw(images, seed)
        model = keras.Sequential([
            keras.Input((self.size, self.size, 3)),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.1),
            layers.Rescaling(1 / 255),
            *(
                layer
                for filters in (16, 32, 64)
                for layer in (
                    layers.Conv2D(filters, 3, padding="same", activation="relu"),
                    layers.MaxPooling2D(),
                )
            ),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(len(labels), activation="softmax"),
        ])  # fmt: skip
        model.compile(optimizers.Adam(), "sparse_categorical_crossentropy")
        pixels = np.stack([self.picture(image.path) for image in learned])
        model.fit(pixels, _truth(learned, labels), batch_size=BATCH, epochs=self.epochs, verbose=0)
        return model

    def convert(self, model: Any, images: Sequence[LabelledImage], seed: int) -> bytes:
        """Calibrate with 100 training images."""
        return network.convert(
            model, (self.picture(image.path) for image in _draw(images, seed)[:CALIBRATION])
        )


class FineTuning:
    """MobileNetV2 at 160: ten epochs frozen, then ten with the layers from the hundredth on; int8."""

    title = "notebook, MobileNetV2"
    variant = "int8"
    size, epochs, tuned_from, rate = 160, 10, 100, 0.0001

    def picture(self, path: Path) -> NDArray[np.float32]:
        """Return what the network takes, 0..255."""
        return pictures.bilinear(path, self.size)

    def train(self, images: Sequence[LabelledImage], labels: Sequence[str], weights: str, seed: int) -> Any:
        """Train on four fifths, mirrored and rotated by up to a fifth of a turn."""
        learned = _draw(images, seed)
        augmentation = keras.Sequential([
            keras.Input((self.size, self.size, 3)),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.2),
        ])  # fmt: skip
        base = network.mobilenet_v2(weights, 1.0, self.size)
        body = network.frozen(base, 1 / 127.5, -1.0)
        head = keras.Sequential([
            keras.Input(body.output_shape[1:]),
            layers.Dropout(0.2),
            layers.Dense(len(labels), activation="softmax"),
        ])  # fmt: skip
        pixels, truth = np.stack([self.picture(image.path) for image in learned]), _truth(learned, labels)
        head.compile(optimizers.Adam(self.rate), "sparse_categorical_crossentropy")
        found = network.features(body, self._views(augmentation, pixels), self.epochs * len(pixels))
        for seen in np.split(found, self.epochs):
            head.fit(seen, truth, batch_size=BATCH, epochs=1, verbose=0)
        base.trainable = True
        for layer in base.layers[: self.tuned_from]:
            layer.trainable = False
        inputs = keras.Input(body.input_shape[1:])
        model = keras.Model(inputs, head(body(augmentation(inputs))))
        model.compile(optimizers.RMSprop(self.rate / 10), "sparse_categorical_crossentropy")
        model.fit(pixels, truth, batch_size=BATCH, epochs=self.epochs, verbose=0)
        return network.joined(body, head)

    def convert(self, model: Any, images: Sequence[LabelledImage], seed: int) -> bytes:
        """Calibrate with 100 training images."""
        return network.convert(
            model, (self.picture(image.path) for image in _draw(images, seed)[:CALIBRATION])
        )

    def _views(self, augmentation: Any, pixels: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        for _ in range(self.epochs):
            for start in range(0, len(pixels), BATCH):
                yield from np.asarray(augmentation(pixels[start : start + BATCH], training=True))


def _draw(images: Sequence[LabelledImage], seed: int) -> list[LabelledImage]:
    order = np.random.default_rng(seed).permutation(len(images))
    return [images[number] for number in order[: int(TRAINED * len(images))]]


def _truth(images: Sequence[LabelledImage], labels: Sequence[str]) -> NDArray[np.int64]:
    return np.array([labels.index(image.label) for image in images])
