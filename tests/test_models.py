from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from edge_classify.train.models import SCRATCH_MOMENTUM, Built, block_widths, build, build_cnn
from edge_classify.train.weights import batch_norms, build_base
from hypothesis import given
from hypothesis import strategies as st

from .support.train_options import make_architecture


@pytest.fixture(scope="module")
def pixels() -> Any:
    return np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype(np.float32)


@pytest.fixture
def mobilenet() -> Built:
    keras.utils.set_random_seed(0)
    return build(make_architecture("mobilenet_v2"))


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
    model = build(make_architecture("mobilenet_v2", 4, head_units=7)).model
    widths = [layer.units for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert widths == [7, 4]


def test_random_base_is_drawn_from_the_global_seed() -> None:
    bases = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        bases.append(build_base("mobilenet_v2", "none", 32, 0.35).network.get_layer("Conv1").get_weights()[0])
    assert np.array_equal(bases[0], bases[1]) and not np.array_equal(bases[0], bases[2])


@pytest.mark.parametrize("size", [8, 32, 96])
def test_cnn_takes_raw_pixels_and_gives_a_probability_a_class(size: int) -> None:
    keras.utils.set_random_seed(0)
    model = build_cnn(size, 7, 0.3)
    pixels = np.random.default_rng(0).integers(0, 256, (3, size, size, 3)).astype(np.float32)
    probabilities = np.asarray(model(pixels, training=False))
    assert probabilities.shape == (3, 7) and np.allclose(probabilities.sum(1), 1, atol=1e-5)
    assert model.layers[1].name == "rescaling"
    scaled = np.asarray(model.layers[1](np.array([[[[0, 127.5, 255]]]], np.float32)))
    assert np.allclose(scaled, [-1, 0, 1])


@pytest.mark.parametrize(("size", "classes"), [(32, 10), (96, 101), (224, 101)])
def test_cnn_has_at_most_a_million_parameters(size: int, classes: int) -> None:
    assert build_cnn(size, classes, 0.2).count_params() <= 1_000_000


def test_cnn_drops_out_before_its_last_layer_only() -> None:
    layers = build_cnn(32, 3, 0.3).layers
    dropouts = [n for n, layer in enumerate(layers) if isinstance(layer, keras.layers.Dropout)]
    assert dropouts == [len(layers) - 2] and layers[-2].rate == 0.3


def test_cnn_has_convolutions_without_bias_before_fast_batch_norms() -> None:
    model = build_cnn(32, 3, 0.2)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(batch_norms(model)) == len(convolutions) and not any(layer.use_bias for layer in convolutions)
    assert {norm.momentum for norm in batch_norms(model)} == {SCRATCH_MOMENTUM}


@given(st.integers(8, 512))
def test_blocks_of_any_size_end_on_a_small_map_without_losing_it(side: int) -> None:
    widths = block_widths(side)
    assert 3 <= len(widths) <= 5 and list(widths) == sorted(widths)
    last = side >> len(widths)
    assert last >= 1
    assert last <= 7 or len(widths) == 5
