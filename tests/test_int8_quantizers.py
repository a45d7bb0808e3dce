"""int8 of a Keras model is made by litert-quantizer, and by TensorFlow where that lacks an operation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from edge_classify.convert.calibration import CalibrationSet, load_calibration
from edge_classify.convert.recipes import FLOAT32, INT8
from edge_classify.convert.repair.answers import answer, divergence
from edge_classify.convert.sources.traced_model import TracedModel
from edge_classify.convert.tflite.flatgraph import operation_of, unpack
from edge_classify.convert.variant import VariantMaker
from edge_classify.edge.card import InputSpec, ModelCard
from edge_classify.edge.labelled import LabelledImage
from keras import layers

from .support.pictures import SHAPES

SIDE = 16
CARD = ModelCard("net", SHAPES, InputSpec(SIDE, SIDE, "float32"))


def network(activation: Any) -> TracedModel:
    keras.utils.set_random_seed(3)
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.GlobalAveragePooling2D()(activation(layers.Conv2D(8, 3, 2, padding="same")(x)))
    sharp = keras.initializers.RandomNormal(stddev=4, seed=1)
    model = keras.Model(image, layers.Dense(3, activation="softmax", kernel_initializer=sharp)(x))
    return TracedModel(lambda pixels: model(pixels, training=False), SIDE, SIDE)


@pytest.fixture(scope="module")
def calibration(shapes: Path) -> CalibrationSet:
    images = [LabelledImage(path, path.parent.name) for path in sorted(shapes.glob("*/*.png"))[::3]]
    return load_calibration(images, 60, CARD)


def test_pixels_use_all_levels_of_the_layer_that_scales_them(calibration: CalibrationSet) -> None:
    """0..255 times 1/127.5 is 0..2 in 255 steps; with the range of the sum behind it, -1..2, 85 are lost."""
    model = unpack(network(layers.ReLU()).make(INT8, calibration))
    graph = model.subgraphs[0]
    product = next(o for o in graph.operators if operation_of(model, o) == "MUL")
    quantization = graph.tensors[product.outputs[0]].quantization
    assert quantization.scale[0] == pytest.approx(2 / 255) and quantization.zeroPoint[0] == -128


def test_card_names_the_quantizer(calibration: CalibrationSet) -> None:
    maker = VariantMaker(network(layers.ReLU()), CARD, calibration)
    for recipe, expected in ((FLOAT32, False), (INT8, True)):
        conversion = maker.make(recipe, 1.0).card.conversion
        assert conversion is not None and ("litert-quantizer" in conversion.versions) == expected


def test_tensorflow_quantizes_what_litert_quantizer_cannot_and_that_is_said(
    calibration: CalibrationSet, capsys: pytest.CaptureFixture[str]
) -> None:
    leaky = network(layers.LeakyReLU())
    maker = VariantMaker(leaky, CARD, calibration)
    variant = maker.make(INT8, 1.0)
    assert "quantized by TensorFlow" in (said := capsys.readouterr().err) and "LEAKY_RELU" in said
    assert variant.card.conversion is not None
    assert "litert-quantizer" not in variant.card.conversion.versions
    pixels = np.stack(list(calibration.read()))
    exact = answer(leaky.make(FLOAT32, None), pixels)
    assert divergence(exact, answer(variant.flatbuffer, pixels)) < 0.01
