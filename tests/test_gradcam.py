from __future__ import annotations

import io
from typing import Any

import keras
import numpy as np
import pytest
from edge_classify.train.backbones import BACKBONES
from edge_classify.train.evaluation import Mistake
from edge_classify.train.gradcam import grad_cam, picture_mistakes
from edge_classify.train.models import build_cnn
from edge_classify.train.weights import build_base
from keras import layers
from PIL import Image

from .support.pictures import make_picture

FAST = ("mobilenet", "mobilenet_v3_small")


def _quadrant_finder(nested: bool) -> Any:
    """A model whose classes are how red and how green a picture is; the map is the picture, pooled to 4x4."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    if nested:
        inside = keras.Input((32, 32, 3))
        features = layers.AveragePooling2D(8)(inside)
        x = keras.Model(inside, layers.GlobalAveragePooling2D()(features))(x)
        x = layers.Dropout(0.9)(x)
    else:
        x = layers.GlobalAveragePooling2D()(layers.AveragePooling2D(8)(x))
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(x))
    model.layers[-1].set_weights([np.array([[9.0, 0], [0, 9], [0, 0]]) * 10, np.zeros(2)])
    return model


def _red_left_green_right() -> np.ndarray:
    pixels = np.zeros((1, 32, 32, 3), np.uint8)
    pixels[0, :16, :16, 0] = 255
    pixels[0, 16:, 16:, 1] = 255
    return pixels


@pytest.mark.parametrize("nested", [False, True])
def test_heat_map_of_a_class_lies_where_its_colour_is(nested: bool) -> None:
    pixels = np.repeat(_red_left_green_right(), 2, axis=0)
    heat = grad_cam(_quadrant_finder(nested), pixels, np.array([0, 1]))
    assert heat is not None
    corner = np.zeros((4, 4))
    corner[:2, :2] = 1
    assert np.array_equal(heat[0], corner)
    assert np.array_equal(heat[1], corner[::-1, ::-1])


def test_heat_map_of_a_certain_answer_does_not_vanish() -> None:
    # The softmax of this picture is 1 to the last bit of float32, and its gradient 0.
    pixels = np.zeros((1, 32, 32, 3), np.uint8)
    pixels[..., 0] = 255
    model = _quadrant_finder(nested=False)
    assert model.predict(pixels, verbose=0)[0, 0] == 1
    heat = grad_cam(model, pixels, np.array([0]))
    assert heat is not None and heat.max() == 1


def test_heat_map_where_nothing_speaks_for_the_class_is_zero() -> None:
    heat = grad_cam(_quadrant_finder(nested=False), np.zeros((1, 32, 32, 3), np.uint8), np.array([0]))
    assert heat is not None and np.array_equal(heat, np.zeros((1, 4, 4)))


def test_heat_map_leaves_the_models_answers_as_they_were() -> None:
    model, pixels = _quadrant_finder(nested=True), _red_left_green_right()
    before = model.predict(pixels, verbose=0)
    grad_cam(model, pixels, np.array([0]))
    assert np.array_equal(model.predict(pixels, verbose=0), before)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in BACKBONES]
)
def test_heat_map_of_a_frozen_backbone_has_the_size_of_its_last_feature_map(name: str) -> None:
    keras.utils.set_random_seed(0)
    base = build_base(name, "none", 64, 1.0)
    base.network.trainable = False
    inputs = keras.Input((64, 64, 3))
    x = layers.Dropout(0.2)(base.network(base.scaling(inputs)))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(x))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    heat = grad_cam(model, pixels, np.array([0, 2]))
    assert heat is not None and heat.shape == (2, 2, 2)  # All halve the picture five times.
    assert np.isfinite(heat).all() and heat.min() >= 0 and heat.max() <= 1


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_heat_map_of_the_own_cnn_is_float32_whatever_it_computes_in(policy: str) -> None:
    keras.utils.set_random_seed(0)
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = build_cnn(32, 3, 0.2)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    heat = grad_cam(model, pixels, np.array([0, 2]))
    assert heat is not None and heat.shape == (2, 4, 4) and heat.dtype == np.float32
    assert heat.max() == 1


def test_heat_map_of_one_cell_is_none_and_the_mistake_is_pictured_without() -> None:
    inputs = keras.Input((32, 32, 3))
    x = layers.GlobalAveragePooling2D()(layers.AveragePooling2D(32)(inputs))
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(x))
    (pictured,) = picture_mistakes(model, [Mistake("a.png", 0, 0, 1, 0.9)], _red_left_green_right())
    assert pictured.overlay is None and pictured.picture.startswith(b"\xff\xd8")


def test_pictured_mistake_shows_its_row_and_heat_where_the_class_is() -> None:
    photo = np.asarray(make_picture("red disc", 0, (32, 32)))[None]
    pixels = np.concatenate([photo, _red_left_green_right()])
    (pictured,) = picture_mistakes(_quadrant_finder(nested=False), [Mistake("a", 1, 1, 0, 0.9)], pixels)
    assert pictured.overlay is not None
    picture, overlay = (
        np.asarray(Image.open(io.BytesIO(raw)), float) for raw in (pictured.picture, pictured.overlay)
    )
    assert picture.shape == overlay.shape and min(picture.shape[:2]) >= 96
    middle = picture.shape[0] // 4
    assert picture[middle, middle, 0] > 200 and picture[middle, -middle].max() < 40
    assert overlay[middle, middle].sum() > overlay[-middle, -middle].sum() + 100


def test_no_mistakes_give_no_pictures() -> None:
    assert picture_mistakes(None, [], _red_left_green_right()) == ()
