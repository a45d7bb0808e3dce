"""Files that Keras 2 itself wrote, which lives on as tf_keras, answer in Keras 3 as they did in Keras 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from edge_classify.convert.sources.keras_model import load_keras

keras2 = pytest.importorskip("tf_keras", reason="tf_keras writes the files of Keras 2")
L = keras2.layers
SIDE = 32


def _classifier(features: Callable[[Any], Any]) -> Any:
    inputs = keras2.Input((SIDE, SIDE, 3))
    pooled = L.GlobalAveragePooling2D()(features(inputs))
    return keras2.Model(inputs, L.Dense(3, activation="softmax")(pooled))


def _backbone(name: str, **options: Any) -> Any:
    build = getattr(keras2.applications, name)
    return build(input_shape=(SIDE, SIDE, 3), weights=None, include_top=False, **options)


def _teachable_machine() -> Any:
    """The layout of Teachable Machine's keras_model.h5, with a narrower network."""
    features = keras2.Sequential([_backbone("MobileNet", alpha=0.25), L.GlobalAveragePooling2D()])
    end = [
        L.Dense(8, activation="relu", input_shape=(256,)),
        L.Dense(3, use_bias=False, activation="softmax"),
    ]
    return keras2.Sequential([features, keras2.Sequential(end)])


def _transfer_learning() -> Any:
    """As TensorFlow's tutorial on transfer learning has it, with half of the network frozen."""
    base = _backbone("MobileNetV2", alpha=0.35)
    for layer in base.layers[:100]:
        layer.trainable = False
    augment = keras2.Sequential([L.RandomFlip("horizontal"), L.RandomRotation(0.2)])

    def features(x: Any) -> Any:
        return base(keras2.applications.mobilenet_v2.preprocess_input(augment(x)), training=False)

    return _classifier(features)


def _augmented() -> Any:
    augment = keras2.Sequential(
        [L.RandomFlip("horizontal", input_shape=(SIDE, SIDE, 3)), L.RandomZoom(0.1), L.RandomWidth(0.1)]
    )
    return keras2.Sequential(
        [augment, L.Resizing(SIDE, SIDE), L.Rescaling(1 / 255), L.SeparableConv2D(8, 3), L.LeakyReLU(0.1),
         L.Flatten(), L.Dense(3, activation="softmax")]
    )  # fmt: skip


def _arithmetic() -> Any:
    def features(x: Any) -> Any:
        x = (tf.cast(x, tf.float32) - 127.5) / [58.0, 57.0, 56.0]
        one, other = L.Conv2D(4, 3)(x), L.Conv2D(4, 3)(1 - x**2)
        x = tf.concat([tf.nn.relu6(one), tf.abs(-other)], axis=-1) * 2
        x = tf.clip_by_value(x[:, 1:-1, 1:-1, ::-1], 0.0, 5.0) + tf.reduce_mean(x, (1, 2), keepdims=True)
        return tf.image.resize(tf.nn.swish(x) + tf.math.l2_normalize(x, axis=-1), (8, 8))

    return _classifier(features)


def _mixed() -> Any:
    keras2.mixed_precision.set_global_policy("mixed_float16")
    try:
        return _classifier(lambda x: L.BatchNormalization()(L.Conv2D(8, 3)(L.Rescaling(1 / 255)(x))))
    finally:
        keras2.mixed_precision.set_global_policy("float32")


def _attention() -> Any:
    def features(x: Any) -> Any:
        x = L.LayerNormalization()(L.PReLU(shared_axes=[1, 2])(L.Conv2DTranspose(4, 3, strides=2)(x)))
        x = L.Reshape((-1, 4))(L.AveragePooling2D(8)(L.Activation("hard_sigmoid")(x)))
        return L.Reshape((8, 8, 4))(L.MultiHeadAttention(2, 4)(x, x))

    return _classifier(features)


MODELS: dict[str, Callable[[], Any]] = {
    "Teachable Machine": _teachable_machine,
    "transfer learning": _transfer_learning,
    "augmented": _augmented,
    "arithmetic": _arithmetic,
    "mixed precision": _mixed,
    "attention": _attention,
    "slashes": lambda: _classifier(lambda x: L.Conv2D(4, 3, name="a_b")(L.Conv2D(4, 3, name="a/b")(x))),
    "MobileNetV3": lambda: _classifier(_backbone("MobileNetV3Small")),
}


def _randomized(model: Any) -> Any:
    """Give weights that make classes differ, also where Keras begins with zeros and ones."""
    rng = np.random.default_rng(1)
    for weights in model.weights:
        shape = weights.shape
        if "kernel" in weights.name:
            weights.assign(rng.normal(0, 1.5 / np.sqrt(np.prod(shape[:-1])), shape))
        elif any(name in weights.name for name in ("gamma", "variance")):
            weights.assign(rng.uniform(0.5, 1.5, shape))
        elif any(name in weights.name for name in ("beta", "mean", "bias")):
            weights.assign(rng.normal(0, 0.2, shape))
    return model


@pytest.mark.parametrize("name", MODELS)
def test_file_of_keras_2_answers_as_in_keras_2(name: str, tmp_path: Path) -> None:
    model = _randomized(MODELS[name]())
    model.compile(loss="categorical_crossentropy")
    pixels = np.random.default_rng(2).integers(0, 256, (2, SIDE, SIDE, 3)).astype(np.float32)
    expected = np.asarray(model(pixels, training=False))
    tolerance = 5e-3 if name == "mixed precision" else 1e-5  # Float16 has 11 bits.
    for suffix in ("h5", "keras"):
        model.save(tmp_path / f"m.{suffix}")
        actual = np.asarray(load_keras(tmp_path / f"m.{suffix}")(pixels, training=False))
        assert np.ptp(expected) > 1e-3
        np.testing.assert_allclose(actual, expected, atol=tolerance)
