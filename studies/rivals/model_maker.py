"""Model Maker: TensorFlow Lite's, and MediaPipe's that followed it; each with its defaults.

tensorflow/examples, tensorflow_examples/lite/model_maker/core/task (image_classifier.py,
image_preprocessing.py, model_spec/image_spec.py, configs.py), and tensorflow/hub, tensorflow_hub/tools/
make_image_classifier/make_image_classifier_lib.py, which trains for it. google-ai-edge/mediapipe, mediapipe/
model_maker/python/vision/image_classifier (image_classifier.py at commit 23b98e5, hyperparameters.py at
2f37a84) and core/utils/image_preprocessing.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from edge_classify.edge.labelled import LabelledImage
from keras import layers, optimizers
from numpy.typing import NDArray

from studies.rivals import network, pictures

SIZE = 224
DROPOUT, DECAY, SMOOTHING = 0.2, 0.0001, 0.1
TRAINED = 0.9  # The guides split the photos 90 to 10; what is put aside chooses nothing.
CALIBRATION = 500


class TFLiteModelMaker:
    """A frozen network and one dense layer, five epochs of SGD at 0.005; int8.

    Its default network is EfficientNet-Lite0 of TensorFlow Hub. Here it is MobileNetV2, which it offers too.
    """

    title = "TFLite Model Maker"
    variant = "int8"
    epochs, batch = 5, 32

    def picture(self, path: Path) -> NDArray[np.float32]:
        """Return what the network takes, 0..1."""
        return pictures.bilinear(path, SIZE) / np.float32(255)

    def train(self, images: Sequence[LabelledImage], labels: Sequence[str], weights: str, seed: int) -> Any:
        """Train on nine tenths; the order is drawn once, and stays."""
        learned = _draw(images, self.batch, seed)
        body = _body(weights)
        views = (self.picture(image.path) for image in learned)
        found = network.features(body, views, len(learned))
        head = _head(found.shape[1], len(labels), optimizers.SGD(0.005, momentum=0.9))
        truth = network.one_hot([labels.index(image.label) for image in learned], len(labels))
        head.fit(found, truth, batch_size=self.batch, epochs=self.epochs, shuffle=False, verbose=0)
        return network.joined(body, head)

    def convert(self, model: Any, images: Sequence[LabelledImage], seed: int) -> bytes:
        """Calibrate with 500 training images, whose order is drawn."""
        chosen = _draw(images, 1, seed)[:CALIBRATION]
        return network.convert(model, (self.picture(image.path) for image in chosen))


class MediaPipeModelMaker:
    """A frozen network and one dense layer, ten epochs of RMSprop on crops of 8 to 100 %; float32.

    It ships float32 unless it is asked for a quantization.
    """

    title = "MediaPipe Model Maker"
    variant = "float32"
    epochs, batch = 10, 2

    def picture(self, path: Path) -> NDArray[np.float32]:
        """Return what the network takes at run time, 0..1: the whole photo, as MediaPipe's tasks feed it."""
        return pictures.bilinear(path, SIZE) / np.float32(255)

    def train(self, images: Sequence[LabelledImage], labels: Sequence[str], weights: str, seed: int) -> Any:
        """Train on other crops in each epoch; the order is drawn once, and stays."""
        learned = _draw(images, self.batch, seed)
        body = _body(weights)
        steps = len(learned) // self.batch
        found = network.features(body, self._crops(learned), self.epochs * len(learned))
        head = _head(found.shape[1], len(labels), self._optimizer(steps))
        truth = network.one_hot([labels.index(image.label) for image in learned], len(labels))
        for seen in np.split(found, self.epochs):
            head.fit(seen, truth, batch_size=self.batch, epochs=1, shuffle=False, verbose=0)
        return network.joined(body, head)

    def convert(self, model: Any, images: Sequence[LabelledImage], seed: int) -> bytes:
        """Convert without quantization."""
        return network.convert(model, None)

    def _crops(self, images: Sequence[LabelledImage]) -> Iterator[NDArray[np.float32]]:
        for _ in range(self.epochs):
            for image in images:
                yield _crop(pictures.decoded(image.path))

    def _optimizer(self, steps: int) -> Any:
        rate = 0.001 * self.batch / 256
        schedule = optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0,
            decay_steps=max(steps * self.epochs, 10_000 * 256 // self.batch),
            warmup_target=rate,
            warmup_steps=2 * steps,
        )
        return optimizers.RMSprop(schedule, rho=0.9, momentum=0.9, epsilon=0.001)


def _body(weights: str) -> Any:
    return network.frozen(network.mobilenet_v2(weights, 1.0, SIZE), 2.0, -1.0)


def _head(width: int, classes: int, optimizer: Any) -> Any:
    head = keras.Sequential([
        keras.Input((width,)),
        layers.Dropout(DROPOUT),
        layers.Dense(classes, activation="softmax", kernel_regularizer=keras.regularizers.L2(DECAY)),
    ])  # fmt: skip
    head.compile(optimizer, keras.losses.CategoricalCrossentropy(label_smoothing=SMOOTHING))
    return head


def _draw(images: Sequence[LabelledImage], batch: int, seed: int) -> list[LabelledImage]:
    """Return the images to learn from in a random order, as many as fill batches."""
    rng = np.random.default_rng(seed)
    count = int(TRAINED * len(images))
    return [images[number] for number in rng.permutation(len(images))[: count - count % batch]]


def _crop(pixels: tf.Tensor) -> NDArray[np.float32]:
    """Return a random part of 8 to 100 % of a photo, resized and perhaps mirrored; 0..1."""
    begin, size, _ = tf.image.sample_distorted_bounding_box(
        tf.shape(pixels),
        bounding_boxes=tf.zeros((1, 0, 4)),
        min_object_covered=0.1,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(0.08, 1.0),
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    resized = tf.image.resize(tf.slice(pixels, begin, size), (SIZE, SIZE))
    return np.asarray(tf.image.random_flip_left_right(resized), np.float32) / np.float32(255)
