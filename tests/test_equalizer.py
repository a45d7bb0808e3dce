from __future__ import annotations

import numpy as np
import pytest
from edge_classify.convert.repair.answers import answer
from edge_classify.convert.repair.equalizer import equalize
from edge_classify.convert.tflite.flatgraph import read_layers, unpack
from edge_classify.convert.tflite.quantizer import quantize
from edge_classify.convert.tflite.ranges import observe
from hypothesis import given, settings
from hypothesis import strategies as st

from .support.tiny_tflite import PLANTED, RELU, RELU6, Builder, colours, tiny_classifier

IMAGES, TRUTH = colours(60, 1)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("activation", [0, RELU])
def test_equalized_model_answers_bit_by_bit_the_same_and_survives_8_bits(
    residual: bool, activation: int
) -> None:
    model = tiny_classifier(PLANTED, activation, residual)
    ranges = observe(model, IMAGES)
    assert (answer(quantize(model, ranges), IMAGES).argmax(1) == TRUTH).mean() < 0.7
    equalized = equalize(model, ranges)
    assert equalized is not None
    assert (answer(equalized, IMAGES) == answer(model, IMAGES)).all()
    repaired = quantize(equalized, observe(equalized, IMAGES))
    assert (answer(repaired, IMAGES).argmax(1) == TRUTH).all()
    assert read_layers(unpack(equalized)) == read_layers(unpack(model))
    assert abs(len(equalized) - len(model)) < 100  # The old weights are gone.


def test_channels_before_relu6_are_left_alone() -> None:
    # min(x, 6) / s is not min(x / s, 6).
    model = tiny_classifier(PLANTED, RELU6)
    equalized = equalize(model, observe(model, IMAGES)) or model
    before, after = (unpack(m).subgraphs[0] for m in (model, equalized))
    assert len(before.operators) == len(after.operators)
    layers = {layer.name: layer for layer in read_layers(unpack(model))}
    ranges = observe(equalized, IMAGES)
    assert ranges.tensors[layers["project"].output].channel_ranges[0] < 0.01
    assert (answer(equalized, IMAGES) == answer(model, IMAGES)).all()


def test_model_without_two_linear_layers_in_a_row_is_not_changed() -> None:
    build = Builder()
    build.rescale()
    build.conv("tiny/only/convolution", np.diag([1, 1e-3, 1]), np.zeros(3), RELU6)
    model = build.head(np.eye(3))
    assert equalize(model, observe(model, IMAGES)) is None


def test_channel_that_never_speaks_is_not_scaled() -> None:
    build = Builder()
    build.rescale()
    build.conv("tiny/one/convolution", np.diag([1, 0, 1e-3]), np.zeros(3))
    build.conv("tiny/two/convolution", np.diag([1, 1, 1e3]), np.zeros(3), RELU)
    model = build.head(np.eye(3))
    equalized = equalize(model, observe(model, IMAGES))
    assert equalized is not None and (answer(equalized, IMAGES) == answer(model, IMAGES)).all()


def test_layers_that_share_their_weights_are_scaled_each_for_itself() -> None:
    build = Builder()
    build.rescale()
    scale = np.array([1, 2.0**-8, 1])
    build.conv("tiny/one/convolution", np.diag(scale), np.ones(3))
    build.conv("tiny/two/convolution", np.diag(1 / scale), np.ones(3), RELU6)
    build.conv("tiny/three/convolution", np.diag(scale), np.ones(3), RELU6)
    one, two, three = build.graph.operators[1:]
    three.inputs[1:] = one.inputs[1:]
    two.inputs[2] = one.inputs[2]
    model = build.head(np.eye(3))
    equalized = equalize(model, observe(model, IMAGES))
    assert equalized is not None and (answer(equalized, IMAGES) == answer(model, IMAGES)).all()


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from((0, RELU)))
def test_equalizing_any_weights_changes_no_answer(seed: int, activation: int) -> None:
    rng = np.random.default_rng(seed)
    build = Builder()
    build.rescale()
    build.conv(
        "a", rng.normal(size=(5, 3)) * 10 ** rng.uniform(-3, 3, (5, 1)), rng.normal(size=5), activation
    )
    build.conv("b", rng.normal(size=(4, 5)) * 10 ** rng.uniform(-3, 3, (1, 5)), rng.normal(size=4), RELU)
    model = build.head(rng.normal(size=(3, 4)))
    equalized = equalize(model, observe(model, IMAGES[:4]))
    if equalized is not None:
        assert (answer(equalized, IMAGES[:8]) == answer(model, IMAGES[:8])).all()
