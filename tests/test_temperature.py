"""A temperature that is built into a .tflite of any kind, against softmax(z / T) from the same logits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from edge_classify.convert.calibration import CalibrationSet, load_calibration
from edge_classify.convert.recipes import RECIPES
from edge_classify.convert.sources.traced_model import TracedModel
from edge_classify.convert.tflite.flatgraph import pack, unpack
from edge_classify.convert.tflite.quantizer import requantize
from edge_classify.edge.card import InputSpec, ModelCard
from edge_classify.edge.default_model import DEFAULT_MODEL
from edge_classify.edge.errors import ConversionError
from edge_classify.edge.labelled import LabelledImage
from edge_classify.edge.modelfile import ModelFile
from edge_classify.edge.runtime import load_interpreter
from edge_classify.edge.tflite.last_layer import (
    find_last_layer,
    output_step,
    takes_temperature,
    with_temperature,
)
from edge_classify.edge.tflite.model import EditableModel
from numpy.typing import NDArray

from .support.pictures import SHAPES
from .support.tflite_contents import contents
from .support.tiny_model import classifier
from .support.tiny_tflite import tiny_classifier

SIDE, TEMPERATURE = 16, 2.5
CARD = ModelCard("net", SHAPES, InputSpec(SIDE, SIDE, "float32"))


def network(kind: str) -> Any:
    """A small network that ends in a dense layer, or in a convolution that is flattened before softmax."""
    keras.utils.set_random_seed(3)
    image = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = keras.layers.Conv2D(8, 3, 2, activation="relu")(x)
    sharp = keras.initializers.RandomNormal(stddev=2, seed=1)
    if kind == "dense":
        logits = keras.layers.Dense(3, kernel_initializer=sharp)(keras.layers.GlobalAveragePooling2D()(x))
    else:
        x = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
        logits = keras.layers.Flatten()(keras.layers.Conv2D(3, 1, kernel_initializer=sharp)(x))
    return keras.Model(image, keras.layers.Softmax()(logits))


@pytest.fixture(scope="module")
def images(shapes: Path) -> list[LabelledImage]:
    return [LabelledImage(path, path.parent.name) for path in sorted(shapes.glob("*/*.png"))[::3]]


@pytest.fixture(scope="module", params=["dense", "convolution"])
def traced(request: pytest.FixtureRequest) -> TracedModel:
    model = network(request.param)
    return TracedModel(lambda image: model(image, training=False), SIDE, SIDE)


@pytest.fixture(scope="module")
def calibration(images: list[LabelledImage]) -> CalibrationSet:
    return load_calibration(images, len(images), CARD)


def run(flatbuffer: bytes, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    interpreter = load_interpreter(flatbuffer, 1)
    given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for image in pixels:
        interpreter.set_tensor(given["index"], image[None].astype(given["dtype"]))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(result["index"])[0] * (result["quantization"][0] or 1.0))
    return np.array(rows, np.float64)


# An 8-bit probability is off by half a step of 1/256, which its logarithm makes much of near 0.
@pytest.mark.parametrize(
    ("variant", "tolerance"),
    [("float32", 1e-6), ("float16", 2e-3), ("dynamic", 1e-6), ("int8-float-io", 0.02), ("int8", 0.02)],
)
def test_temperature_divides_the_logits_of_every_kind_of_file(
    traced: TracedModel, calibration: CalibrationSet, variant: str, tolerance: float
) -> None:
    plain = traced.make(RECIPES[variant], calibration)
    pixels = np.stack(list(calibration.read()))
    before = run(plain, pixels)
    after = run(with_temperature(plain, TEMPERATURE), pixels)
    powers = before ** (1 / TEMPERATURE)  # softmax(z / T) is proportional to softmax(z) ** (1 / T).
    np.testing.assert_allclose(after, powers / powers.sum(1, keepdims=True), atol=tolerance)
    assert np.abs(after - before).max() > 0.05


@pytest.mark.parametrize(
    ("variant", "step"), [("float32", 0), ("dynamic", 0), ("int8", 1 / 256), ("int8-float-io", 1 / 256)]
)
def test_step_of_probabilities_is_that_of_the_softmax_whatever_the_output_is_stored_as(
    traced: TracedModel, calibration: CalibrationSet, variant: str, step: float
) -> None:
    assert output_step(traced.make(RECIPES[variant], calibration)) == step


def test_temperature_of_a_quantized_file_changes_scales_and_no_stored_number(
    traced: TracedModel, calibration: CalibrationSet
) -> None:
    plain = traced.make(RECIPES["int8"], calibration)
    before, after = unpack(plain), unpack(with_temperature(plain, TEMPERATURE))
    for one, other in zip(before.buffers, after.buffers, strict=True):
        assert np.array_equal(np.asarray(one.data), np.asarray(other.data))
    assert len(with_temperature(plain, TEMPERATURE)) < len(plain) * 1.5


def int8_file() -> bytes:
    return DEFAULT_MODEL.read_bytes()[: ModelFile.read(DEFAULT_MODEL).zip_offset]


def float16_file() -> bytes:
    return requantize(tiny_classifier(), "float16")


@pytest.mark.parametrize(("make", "weights"), [(int8_file, 9), (tiny_classifier, 0), (float16_file, 1)])
def test_temperature_changes_the_last_layer_and_nothing_else(make: Callable[[], bytes], weights: int) -> None:
    plain = make()
    layer = find_last_layer(EditableModel(plain))
    assert layer is not None
    before, after = contents(plain), contents(with_temperature(plain, TEMPERATURE))
    old, new = (model["subgraphs"][0].pop("tensors") for model in (before, after))
    assert after == before
    changed = {tensor.index for tensor in (*layer.parameters, *layer.logits)}
    for index, (one, other) in enumerate(zip(old, new, strict=True)):
        if index in changed:
            _divide(one)
        assert other == one
    assert new[layer.parameters[0].index]["type"] == weights


def _divide(tensor: dict[str, Any]) -> None:
    """Divide a tensor's scales, or the values that are stored for it, in the arithmetic of its type."""
    if tensor["type"] in (0, 1):
        values: NDArray[Any] = np.frombuffer(tensor["buffer"], (np.float32, np.float16)[tensor["type"]])
        tensor["buffer"] = (values / values.dtype.type(TEMPERATURE)).tobytes()
    else:
        scales = np.array(tensor["quantization"]["scale"], np.float32) / np.float32(TEMPERATURE)
        tensor["quantization"]["scale"] = scales.tolist()


def test_temperature_of_one_gives_the_same_bytes_and_twice_gives_the_product() -> None:
    plain = classifier()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    assert with_temperature(plain, 1.0) is plain
    twice = with_temperature(with_temperature(plain, 2.0), 1.5)
    np.testing.assert_allclose(run(twice, pixels), run(with_temperature(plain, 3.0), pixels), atol=1e-6)


def test_weights_that_another_layer_shares_stay_as_they_are_for_it() -> None:
    model = unpack(classifier())
    graph = model.subgraphs[0]
    weights = next(t for t in graph.tensors if t.name == b"weights")
    other = schema.TensorT(shape=[4, 4], type=weights.type, buffer=weights.buffer, name=b"other")
    graph.tensors.append(other)
    changed = unpack(with_temperature(pack(model), 2.0))
    values = {
        t.name: np.asarray(changed.buffers[t.buffer].data, np.uint8).tobytes()
        for t in changed.subgraphs[0].tensors
        if t.name in (b"weights", b"other")
    }
    assert np.array_equal(np.frombuffer(values[b"other"], "<f4").reshape(4, 4), np.eye(4))
    assert np.array_equal(np.frombuffer(values[b"weights"], "<f4").reshape(4, 4), np.eye(4) / 2)


def test_model_whose_logits_go_elsewhere_too_takes_no_temperature() -> None:
    model = unpack(classifier())
    graph = model.subgraphs[0]
    logits = next(i for i, t in enumerate(graph.tensors) if t.name == b"logits")
    graph.outputs = [*map(int, graph.outputs), logits]
    assert takes_temperature(classifier()) and not takes_temperature(pack(model))
    with pytest.raises(ConversionError, match=r"temperature of 2\.0 cannot be built into the model"):
        with_temperature(pack(model), 2.0)
