from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from edge_classify.train.models import Built, build
from edge_classify.train.weights import build_base

from .support.train_options import make_options


@pytest.fixture(scope="module")
def pixels() -> Any:
    return np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype(np.float32)


@pytest.fixture
def mobilenet() -> Built:
    keras.utils.set_random_seed(0)
    return build("mobilenet_v2", 3, make_options())


def test_mobilenet_of_raw_pixels_equals_keras_preprocessing_and_the_same_weights(
    mobilenet: Built, pixels: Any
) -> None:
    assert mobilenet.base is not None
    reference = keras.applications.MobileNetV2(
        (32, 32, 3), 0.35, include_top=False, weights=None, pooling="avg"
    )
    reference.set_weights(mobilenet.base.get_weights())
    prepared = keras.applications.mobilenet_v2.preprocess_input(pixels.copy())
    kernel, bias = mobilenet.model.get_layer("probabilities").get_weights()
    logits = reference.predict(prepared, verbose=0) @ kernel + bias
    powers = np.exp(logits - logits.max(1, keepdims=True))
    expected = powers / powers.sum(1, keepdims=True)
    assert np.allclose(mobilenet.model.predict(pixels, verbose=0), expected, atol=1e-5)


def test_mobilenet_head_units_add_a_dense_layer_of_that_width() -> None:
    model = build("mobilenet_v2", 4, make_options(head_units=7)).model
    widths = [layer.units for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert widths == [7, 4]


def test_random_base_is_drawn_from_the_global_seed() -> None:
    bases = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        bases.append(build_base("mobilenet_v2", "none", 32, 0.35).network.get_layer("Conv1").get_weights()[0])
    assert np.array_equal(bases[0], bases[1]) and not np.array_equal(bases[0], bases[2])
