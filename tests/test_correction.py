"""Biases and rounding of 8-bit files are corrected: outputs on new images come closer to float ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from edge_classify.convert.repair.answers import answer
from edge_classify.convert.tflite.correction import Correction
from edge_classify.convert.tflite.flatgraph import operation_of, unpack
from edge_classify.convert.tflite.layer_weights import LARGEST_BIAS, weighted_layers
from edge_classify.convert.tflite.quantizer import quantize, requantize
from edge_classify.convert.tflite.ranges import observe
from edge_classify.convert.tflite.rounding import learn_rounding, output_error
from edge_classify.edge.errors import ConversionError
from edge_classify.edge.runtime import load_interpreter
from numpy.typing import NDArray

from .support.tiny_tflite import RELU, RELU6, Builder, colours, tiny_classifier

CALIBRATION, _ = colours(60, 0)
UNSEEN, _ = colours(200, 1)
WIDTH = 48


def wide_classifier(seed: int = 0) -> bytes:
    """Return a classifier of random layers, one of them depthwise, with a large weight in each row.

    The large weight makes the steps of the others coarse; its input is small, and adds nothing to outputs.
    """
    rng = np.random.default_rng(seed)
    build = Builder()
    build.rescale()
    stem = np.abs(rng.normal(size=(WIDTH, 3)))
    stem[0] *= 0.01
    build.conv("tiny/stem/convolution", stem, np.zeros(WIDTH), RELU6)
    depthwise(build, rng)
    weights = rng.normal(size=(WIDTH, WIDTH)) / WIDTH
    weights[:, 0] = 4
    build.conv("tiny/wide/convolution", weights, rng.normal(size=WIDTH) / 10, RELU)
    return build.head(rng.normal(size=(3, WIDTH)) * 3)


def depthwise(build: Builder, rng: np.random.Generator) -> None:
    kernel = build.tensor("d", (1, 3, 3, WIDTH), rng.uniform(0, 0.3, (1, 3, 3, WIDTH)).astype(np.float32))
    shift = build.tensor("e", (WIDTH,), np.zeros(WIDTH, np.float32))
    options = schema.DepthwiseConv2DOptionsT(
        strideW=2, strideH=2, depthMultiplier=1, fusedActivationFunction=RELU6, padding=0
    )
    shape = (1, 4, 4, WIDTH)
    build.layer("tiny/depth/depthwise", "DEPTHWISE_CONV_2D", [build.last, kernel, shift], shape, options)


def images() -> Iterator[NDArray[np.uint8]]:
    return iter(CALIBRATION)


FLOAT = wide_classifier()
INT8 = requantize(FLOAT, "int8-float-io", observe(FLOAT, CALIBRATION))
BIASES = Correction(FLOAT, images, rounding=False).apply(INT8)
BOTH = Correction(FLOAT, images).apply(INT8)


def output_of(flatbuffer: bytes, tensor: str) -> NDArray[np.float64]:
    """Return what a layer gives for the unseen images, as real numbers, [images, ...]."""
    interpreter = load_interpreter(flatbuffer, 1, keep_all=True)
    given = interpreter.get_input_details()[0]
    wanted = next(d for d in interpreter.get_tensor_details() if d["name"] == tensor)
    rows = []
    for pixels in UNSEEN:
        interpreter.set_tensor(given["index"], pixels[None].astype(given["dtype"]))
        interpreter.invoke()
        values = interpreter.get_tensor(wanted["index"]).astype(np.float64)
        scale, zero = wanted["quantization"]
        rows.append((values - zero) * scale if scale else values)
    return np.concatenate(rows)


def error_of(flatbuffer: bytes, tensor: str = "tiny/wide/convolution") -> float:
    return float(((output_of(flatbuffer, tensor) - output_of(FLOAT, tensor)) ** 2).mean())


def mean_error_of(flatbuffer: bytes, tensor: str = "tiny/wide/convolution") -> float:
    shift = (output_of(flatbuffer, tensor) - output_of(FLOAT, tensor)).mean((0, 1, 2))
    return float(np.abs(shift).mean())


def test_corrected_biases_bring_the_mean_of_outputs_on_new_images_back() -> None:
    assert mean_error_of(BIASES) < mean_error_of(INT8) / 3


def test_each_correction_lowers_the_error_of_outputs_on_new_images() -> None:
    assert error_of(BIASES) < error_of(INT8) / 2
    assert error_of(BOTH) < error_of(BIASES) * 0.8


def test_answers_to_new_images_come_closer_to_the_float_ones() -> None:
    wrong, biases, both = (
        np.abs(answer(file, UNSEEN) - answer(FLOAT, UNSEEN)).mean() for file in (INT8, BIASES, BOTH)
    )
    assert biases < wrong * 0.7 and both < wrong * 0.7


def test_scales_graph_and_size_stay_and_biases_leave_room_for_the_sum() -> None:
    before, after = unpack(INT8), unpack(BOTH)
    assert len(BOTH) == len(INT8)
    for one, other in zip(before.subgraphs[0].tensors, after.subgraphs[0].tensors, strict=True):
        assert (one.name, one.type, list(one.shape)) == (other.name, other.type, list(other.shape))
        assert _scales(one) == _scales(other)
    versions = [
        [
            (operation_of(model, o), model.operatorCodes[o.opcodeIndex].version)
            for o in model.subgraphs[0].operators
        ]
        for model in (before, after)
    ]
    assert versions[0] == versions[1]
    for layer in weighted_layers(unpack(FLOAT), after) or []:
        assert np.abs(layer.stored_bias.astype(np.int64)).max() <= LARGEST_BIAS
        assert np.abs(layer.stored_weights.astype(int)).max() <= 127


def _scales(tensor: Any) -> list[float]:
    quantization = tensor.quantization
    return [] if quantization is None or quantization.scale is None else list(quantization.scale)


def test_same_images_give_the_same_bytes_on_any_number_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_classify.convert.tflite.input_statistics.cores", lambda: 3)
    assert Correction(FLOAT, images).apply(INT8) == BOTH


def test_file_with_layers_in_float_is_corrected_in_the_others() -> None:
    mixed = quantize(FLOAT, observe(FLOAT, CALIBRATION), keep_float=["tiny/depth/depthwise"])
    corrected = Correction(FLOAT, images).apply(mixed)
    assert error_of(corrected) < error_of(mixed) / 2
    types = [[t.type for t in unpack(file).subgraphs[0].tensors] for file in (mixed, corrected)]
    assert types[0] == types[1]


def test_one_correction_serves_several_files() -> None:
    correction = Correction(FLOAT, images)
    assert [correction.apply(INT8) for _ in range(2)] == [BOTH, BOTH]


def test_model_whose_weights_8_bits_hold_exactly_keeps_its_answers() -> None:
    model = tiny_classifier()
    int8 = requantize(model, "int8", observe(model, CALIBRATION))
    corrected = Correction(model, images).apply(int8)
    assert np.abs(answer(corrected, UNSEEN) - answer(model, UNSEEN)).mean() <= (
        np.abs(answer(int8, UNSEEN) - answer(model, UNSEEN)).mean() + 1e-3
    )
    assert (answer(corrected, UNSEEN).argmax(1) == answer(model, UNSEEN).argmax(1)).mean() > 0.99


def test_file_of_another_model_and_one_without_8_bit_weights_stay_as_they_are() -> None:
    other = tiny_classifier()
    int8 = requantize(other, "int8", observe(other, CALIBRATION))
    assert Correction(FLOAT, images).apply(int8) == int8
    float16 = requantize(FLOAT, "float16")
    assert Correction(FLOAT, images).apply(float16) == float16


def test_correction_without_images_is_refused() -> None:
    with pytest.raises(ConversionError, match="No images"):
        Correction(FLOAT, lambda: iter(())).apply(INT8)


def random_layer(seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights in units of their scales, [20, 100], and a covariance of inputs that hang together."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(2000, 30)) @ rng.normal(size=(30, 100)) + rng.normal(size=(2000, 100))
    return rng.uniform(-100, 100, (20, 100)), np.cov(inputs.T)


def test_learned_rounding_leaves_a_fraction_of_the_error_of_the_nearest_integers() -> None:
    weights, covariance = random_layer(0)
    nearest = np.rint(weights).astype(np.int8)
    learned = learn_rounding(weights, nearest, covariance)
    assert (output_error(weights, learned, covariance) < output_error(weights, nearest, covariance)).all()
    gain = output_error(weights, learned, covariance).sum() / output_error(weights, nearest, covariance).sum()
    assert gain < 0.5
    assert np.abs(learned - weights).max() < 3


def test_learned_rounding_of_one_channel_is_near_the_best_of_all_choices() -> None:
    rng = np.random.default_rng(3)
    covariance = np.cov((rng.normal(size=(500, 8)) @ rng.normal(size=(8, 8))).T)
    weights = rng.uniform(-50, 50, (1, 8))
    choices = np.floor(weights) + np.array([[i >> bit & 1 for bit in range(8)] for i in range(256)])
    best = min(output_error(weights, choice[None], covariance)[0] for choice in choices)
    nearest = output_error(weights, np.rint(weights).astype(np.int8), covariance)[0]
    learned = output_error(
        weights, learn_rounding(weights, np.rint(weights).astype(np.int8), covariance), covariance
    )[0]
    assert learned <= best + 0.5 * (nearest - best)


def test_inputs_that_do_not_hang_together_leave_the_nearest_integers() -> None:
    weights, _ = random_layer(1)
    nearest = np.rint(weights).astype(np.int8)
    assert (learn_rounding(weights, nearest, np.eye(100)) == nearest).all()
    assert (learn_rounding(weights, nearest, np.zeros((100, 100))) == nearest).all()
