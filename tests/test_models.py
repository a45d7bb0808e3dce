from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from edge_classify.train.models import SCRATCH_MOMENTUM, Built, build, build_cnn, prepare_phase
from edge_classify.train.weights import build_base

from .train_options import make_options


@pytest.fixture(scope="module")
def pixels() -> Any:
    return np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype(np.float32)


@pytest.fixture
def mobilenet() -> Built:
    keras.utils.set_random_seed(0)
    return build("mobilenet_v2", 3, make_options())


def _norms(base: Any) -> list[Any]:
    return [layer for layer in base.layers if isinstance(layer, keras.layers.BatchNormalization)]


def _changed_by_training(built: Built, pixels: Any) -> set[str]:
    """Return the layers of the base that one step of training changes, statistics included."""
    assert built.base is not None
    before = {layer.name: layer.get_weights() for layer in built.base.layers if layer.weights}
    built.model.compile("sgd", "sparse_categorical_crossentropy")
    built.model.train_on_batch(pixels, np.arange(8) % 3)
    return {
        name
        for name, arrays in before.items()
        for old, new in zip(arrays, built.base.get_layer(name).get_weights(), strict=True)
        if not np.array_equal(old, new)
    }


@pytest.mark.parametrize("size", [32, 48, 64, 65, 96, 128, 160, 192, 224])
def test_cnn_of_any_size_pools_a_map_of_2_to_7_pixels(size: int) -> None:
    model = build_cnn(size, 5, 0.2)
    pooling = next(x for x in model.layers if isinstance(x, keras.layers.GlobalAveragePooling2D))
    height, width = pooling.input.shape[1:3]
    assert 2 <= height <= 7 and height == width
    assert model.input_shape == (None, size, size, 3) and model.output_shape == (None, 5)


def test_cnn_scales_raw_pixels_itself_and_answers_with_probabilities(pixels: Any) -> None:
    model = build_cnn(32, 5, 0.2)
    scaled = keras.Model(model.input, model.get_layer("rescaling").output)(pixels)
    assert np.allclose(scaled, pixels / 255, atol=1e-6)
    answers = model.predict(pixels, verbose=0)
    assert (answers >= 0).all() and np.allclose(answers.sum(1), 1, atol=1e-5)


def test_cnn_blocks_double_their_channels_to_256() -> None:
    filters = [x.filters for x in build_cnn(224, 5, 0.2).layers if isinstance(x, keras.layers.Conv2D)]
    assert filters == [32, 32, 64, 64, 128, 128, 256, 256, 256, 256]


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


def test_phase_1_with_weights_trains_the_head_alone(mobilenet: Built, pixels: Any) -> None:
    prepare_phase(mobilenet, 1, make_options(weights="imagenet"))
    assert [w.path for w in mobilenet.model.trainable_weights] == [
        "probabilities/kernel",
        "probabilities/bias",
    ]
    assert _changed_by_training(mobilenet, pixels) == set()


def test_phase_1_from_random_weights_trains_everything_with_fast_statistics(
    mobilenet: Built, pixels: Any
) -> None:
    prepare_phase(mobilenet, 1, make_options(weights="none"))
    assert mobilenet.base is not None
    assert {norm.momentum for norm in _norms(mobilenet.base)} == {SCRATCH_MOMENTUM}
    changed = _changed_by_training(mobilenet, pixels)
    assert {norm.name for norm in _norms(mobilenet.base)} <= changed
    assert {"Conv1", "Conv_1", "block_8_expand"} <= changed


@pytest.mark.parametrize("weights", ["imagenet", "none"])
def test_phase_2_trains_the_last_layers_but_no_batch_norm(
    mobilenet: Built, pixels: Any, weights: str
) -> None:
    options = make_options(weights=weights, fine_tune_layers=20)
    assert mobilenet.base is not None
    for norm in _norms(mobilenet.base):
        norm.momentum = 0.0
    mobilenet.model(pixels, training=True)  # Statistics that fit, else no gradient gets through.
    prepare_phase(mobilenet, 1, options)
    prepare_phase(mobilenet, 2, options)
    last = mobilenet.base.layers[-20:]
    expected = {x.name for x in last if x.weights and x not in _norms(mobilenet.base)}
    # By the architecture: the last 20 of 155 layers begin inside block 15.
    blocks = {f"block_16_{part}" for part in ("expand", "depthwise", "project")}
    assert expected == {"block_15_depthwise", "block_15_project", *blocks, "Conv_1"}
    assert _changed_by_training(mobilenet, pixels) == expected


@pytest.mark.parametrize(("layers", "convolutions"), [(0, 0), (154, 52), (1000, 52)])
def test_phase_2_of_no_layers_and_of_all_layers_trains_that_many(
    mobilenet: Built, layers: int, convolutions: int
) -> None:
    # MobileNetV2 has 52 convolutions before its classifier, none with a bias.
    prepare_phase(mobilenet, 2, make_options(weights="imagenet", fine_tune_layers=layers))
    assert mobilenet.base is not None
    assert len(mobilenet.base.trainable_weights) == convolutions


def test_cnn_is_trained_whole_in_both_phases() -> None:
    built = build("cnn", 3, make_options())
    every = len(built.model.trainable_weights)
    for phase in (1, 2):
        prepare_phase(built, phase, make_options(fine_tune_layers=0))
        assert len(built.model.trainable_weights) == every > 0


def test_random_base_is_drawn_from_the_global_seed() -> None:
    bases = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        bases.append(build_base("none", 32, 0.35).get_layer("Conv1").get_weights()[0])
    assert np.array_equal(bases[0], bases[1]) and not np.array_equal(bases[0], bases[2])
