from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
from edge_classify.train.frozen import divide, run_front
from edge_classify.train.models import Built, build
from numpy.typing import NDArray

from .support.train_options import make_architecture

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)


def _built(name: str) -> Built:
    keras.utils.set_random_seed(0)
    built = build(make_architecture(name, alpha=0.35 if name == "mobilenet_v2" else 1.0))
    rng = np.random.default_rng(1)
    assert built.base is not None
    for layer in built.base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):  # So that a norm left out shows.
            layer.set_weights([rng.uniform(0.5, 1.5, array.shape) for array in layer.get_weights()])
    return built


@pytest.fixture(scope="module")
def mobilenet() -> Built:
    return _built("mobilenet_v2")


def _features(built: Built) -> NDArray[np.float32]:
    """What the base gives for PIXELS."""
    scaling = built.model.get_layer("rescaling")
    return np.asarray(built.base(scaling(PIXELS), training=False))  # type: ignore[misc]


def _names(model: Any) -> set[str]:
    return {layer.name for layer in model.layers}


# 96 lies in the middle of a residual block of MobileNetV2, 129 at its end.
@pytest.mark.parametrize("first_trained", [5, 96, 129, 154])
def test_front_then_back_equals_the_base_at_any_cut(mobilenet: Built, first_trained: int) -> None:
    _assert_divided_equals_whole(mobilenet, first_trained)


def test_front_then_back_equals_a_base_with_operations_that_are_no_layers() -> None:
    built = _built("mobilenet_v3_small")
    assert built.base is not None
    assert len(built.base.operations) > len(built.base.layers)
    for first_trained in (len(built.base.layers) - 30, len(built.base.layers) // 2):
        _assert_divided_equals_whole(built, first_trained)


def _assert_divided_equals_whole(built: Built, first_trained: int) -> None:
    assert built.base is not None
    divided = divide(built, first_trained)
    assert divided is not None and divided.back is not None
    crossing = divided.front(PIXELS.astype(np.float32), training=False)
    assert tuple(crossing.shape[1:]) == divided.shape
    assert np.allclose(divided.back(crossing, training=False), _features(built), atol=1e-4)
    trained = {layer.name for layer in built.base.layers[first_trained:]}
    assert trained <= _names(divided.back)
    assert not trained & _names(divided.front.layers[-1])


def test_back_is_as_small_as_the_first_trained_layer_allows(mobilenet: Built) -> None:
    """In MobileNetV2 one tensor crosses every place outside of a residual block."""
    assert mobilenet.base is not None
    names = [layer.name for layer in mobilenet.base.layers]
    divided = divide(mobilenet, names.index("block_15_depthwise"))
    assert divided is not None
    assert divided.front.layers[-1].layers[-1].name == "block_14_add"
    divided = divide(mobilenet, names.index("block_16_depthwise"))
    assert divided is not None
    assert divided.front.layers[-1].layers[-1].name == "block_16_expand_relu"


def test_base_that_is_wholly_frozen_lies_in_front(mobilenet: Built) -> None:
    assert mobilenet.base is not None
    divided = divide(mobilenet, len(mobilenet.base.layers))
    assert divided is not None and divided.back is None
    assert np.allclose(
        divided.front(PIXELS.astype(np.float32), training=False), _features(mobilenet), atol=1e-5
    )


def test_base_whose_first_layers_are_trained_has_nothing_in_front(mobilenet: Built) -> None:
    assert divide(mobilenet, 0) is None


def test_activations_that_litert_computes_are_those_of_keras_in_the_order_of_the_images(
    mobilenet: Built,
) -> None:
    divided = divide(mobilenet, 120)
    assert divided is not None
    target = np.zeros((5, *divided.shape), np.float32)
    done: list[int] = []
    chunks: Iterator[Any] = iter([PIXELS[:2], PIXELS[2:3].astype(np.float32), PIXELS[3:]])
    run_front(divided, chunks, target, done.append)
    expected = np.asarray(divided.front(PIXELS.astype(np.float32), training=False))
    assert np.abs(target).max() > 0.1
    assert np.allclose(target, expected, atol=1e-4)
    assert done == [2, 1, 2]
