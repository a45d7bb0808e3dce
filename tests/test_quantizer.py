from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from edge_classify.convert.repair.answers import answer
from edge_classify.convert.tflite.flatgraph import operation_of, read_layers, short_name, unique_names, unpack
from edge_classify.convert.tflite.quantizer import Kind, quantize, requantize
from edge_classify.convert.tflite.ranges import observe
from edge_classify.edge.errors import ConversionError
from edge_classify.edge.runtime import load_interpreter
from edge_classify.edge.tflite.metadata import add_metadata, build_metadata
from hypothesis import given
from hypothesis import strategies as st

from .support import tiny_model
from .support.tiny_tflite import Builder, colours, tiny_classifier

IMAGES, TRUTH = colours(60, 1)
FLOAT = tiny_classifier()
RANGES = observe(FLOAT, colours(40, 0)[0])
METADATA = build_metadata(tiny_model.card())
LAYERS = {layer.name: layer for layer in read_layers(unpack(FLOAT))}
INT8, FLOAT32, UINT8 = (getattr(schema.TensorType, name) for name in ("INT8", "FLOAT32", "UINT8"))


def types_by_layer(flatbuffer: bytes) -> dict[str, int]:
    """The type of what each layer of a quantized tiny_classifier gives."""
    model = unpack(flatbuffer)
    names = {layer.tensor: layer.name for layer in LAYERS.values()}
    return {names[t.name.decode()]: t.type for t in model.subgraphs[0].tensors if t.name.decode() in names}


def versions(flatbuffer: bytes) -> dict[str, int]:
    model = unpack(flatbuffer)
    graph = model.subgraphs[0]
    return {operation_of(model, o): model.operatorCodes[o.opcodeIndex].version for o in graph.operators}


@pytest.mark.parametrize("kind", ["float16", "dynamic", "int8", "int8-float-io"])
def test_every_kind_answers_as_the_float_model(kind: Kind) -> None:
    assert (answer(FLOAT, IMAGES).argmax(1) == TRUTH).all()
    changed = requantize(FLOAT, kind, RANGES)
    np.testing.assert_allclose(answer(changed, IMAGES), answer(FLOAT, IMAGES), atol=0.06)


@pytest.mark.parametrize("kind", ["float16", "dynamic", "int8", "int8-float-io"])
def test_every_kind_has_all_weights_inside_the_flatbuffer(kind: Kind) -> None:
    changed = requantize(FLOAT, kind, RANGES)
    assert changed == requantize(FLOAT, kind, RANGES)
    assert all(not buffer.offset for buffer in unpack(changed).buffers)
    # Writing metadata packs the flatbuffer anew, which loses weights that lie behind it.
    assert (answer(add_metadata(changed, METADATA), IMAGES) == answer(changed, IMAGES)).all()


def test_weights_behind_the_flatbuffer_are_brought_inside() -> None:
    build = Builder()
    rng = np.random.default_rng(0)
    build.rescale()
    build.conv("tiny/wide/convolution", rng.normal(size=(300, 3)), np.zeros(300), 1)
    build.conv("tiny/large/convolution", rng.normal(size=(1000, 300)) / 300, np.zeros(1000), 1)
    model = build.head(rng.normal(size=(3, 1000)))  # Large enough for litert-quantizer to write them behind.
    changed = quantize(model, observe(model, IMAGES))
    assert (answer(add_metadata(changed, METADATA), IMAGES) == answer(changed, IMAGES)).all()
    assert len(changed) > 300_000


@pytest.mark.parametrize("kind", ["float16", "dynamic", "int8", "int8-float-io"])
def test_input_and_output_keep_the_names_that_apps_know(kind: Kind) -> None:
    ends = []
    for flatbuffer in (FLOAT, requantize(FLOAT, kind, RANGES)):
        graph = unpack(flatbuffer).subgraphs[0]
        ends.append([graph.tensors[int(index)].name for index in (*graph.inputs, *graph.outputs)])
    assert ends[0] == ends[1]


def test_uint8_file_takes_pixels_as_they_are_and_gives_256ths() -> None:
    interpreter = load_interpreter(requantize(FLOAT, "int8", RANGES), 1)
    given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    assert (given["dtype"], given["quantization"]) == (np.uint8, (1.0, 0))
    assert (result["dtype"], result["quantization"]) == (np.uint8, (1 / 256, 0))


def test_float_io_stays_float32() -> None:
    interpreter = load_interpreter(quantize(FLOAT, RANGES), 1)
    details = (interpreter.get_input_details()[0], interpreter.get_output_details()[0])
    assert [detail["dtype"] for detail in details] == [np.float32, np.float32]


@pytest.mark.parametrize("io", ["float32", "uint8"])
@pytest.mark.parametrize(
    "kept", [("project",), ("rescaling",), ("softmax",), ("rescaling", "stem", "softmax")]
)
def test_kept_layers_stay_float_and_the_others_are_in_8_bits(kept: tuple[str, ...], io: Any) -> None:
    changed = quantize(FLOAT, RANGES, keep_float=[LAYERS[name].tensor for name in kept], io=io)
    types = types_by_layer(changed)
    if "softmax" not in kept:  # The model's output: what softmax gave is converted into a new tensor.
        types["softmax"] = INT8
    assert {name for name, dtype in types.items() if dtype != INT8} == set(kept)
    np.testing.assert_allclose(answer(changed, IMAGES), answer(FLOAT, IMAGES), atol=0.06)
    expected = np.uint8 if io == "uint8" else np.float32
    assert load_interpreter(changed, 1).get_input_details()[0]["dtype"] == expected


def test_operations_carry_the_versions_that_their_types_need() -> None:
    # tensorflow/compiler/mlir/lite/tools/versioning/op_version.cc
    integer = versions(requantize(FLOAT, "int8", RANGES))
    assert integer["CONV_2D"] == 3 and integer["FULLY_CONNECTED"] == 4 and integer["SOFTMAX"] == 2
    hybrid = versions(requantize(FLOAT, "dynamic"))
    assert hybrid["CONV_2D"] == 5 and hybrid["FULLY_CONNECTED"] == 12 and hybrid["SOFTMAX"] == 1
    assert versions(requantize(FLOAT, "float16"))["DEQUANTIZE"] == 3


def test_tensors_of_the_same_name_or_of_bytes_that_are_no_text_are_quantized() -> None:
    build = Builder()
    build.rescale()
    for name in (b"same", b"same", b"\xff\xfe;(*"):
        build.conv(name, np.eye(3), np.zeros(3), 1)
    model = build.head(30 * np.eye(3))
    layers = read_layers(unpack(model))
    ranges = observe(model, IMAGES)
    second = [layer.tensor for layer in layers if layer.name == "same#2"]
    changed = quantize(model, ranges, keep_float=second)
    assert (answer(changed, IMAGES).argmax(1) == TRUTH).all()
    found = [t for t in unpack(changed).subgraphs[0].tensors if t.name == b"same"]
    assert [tensor.type for tensor in found] == [INT8, FLOAT32]


def test_bias_of_a_channel_with_almost_no_weights_keeps_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    build = Builder()
    build.rescale()
    weights, bias = np.eye(4, 3), np.zeros(4)
    weights[3], bias[3] = 1e-12, 1.0  # The fourth channel is its bias, and decides.
    build.conv("tiny/dead/convolution", weights, bias, 1)
    head = np.zeros((3, 4))
    head[1, 3] = 3
    model = build.head(head)
    ranges = observe(model, IMAGES)
    np.testing.assert_allclose(answer(quantize(model, ranges), IMAGES), answer(model, IMAGES), atol=0.02)
    monkeypatch.setattr("edge_classify.convert.tflite.quantizer.repair_biases", lambda *models: None)
    assert np.abs(answer(quantize(model, ranges), IMAGES) - answer(model, IMAGES)).max() > 0.3


def test_layer_without_an_8_bit_form_is_named_unless_it_may_stay_float() -> None:
    build = Builder()
    build.rescale()
    build.layer(
        "tiny/leaky/LeakyRelu", "LEAKY_RELU", [build.last], (1, 8, 8, 3), schema.LeakyReluOptionsT(alpha=0.1)
    )
    model = build.head(30 * np.eye(3))
    ranges = observe(model, IMAGES)
    with pytest.raises(ConversionError, match=r"'leaky' \(LEAKY_RELU\)"):
        quantize(model, ranges)
    kept = quantize(model, ranges, keep_float=["tiny/leaky/LeakyRelu"])
    assert (answer(kept, IMAGES).argmax(1) == TRUTH).all()


def test_layer_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="no layers"):
        quantize(FLOAT, RANGES, keep_float=["nothing"])


def test_model_that_is_quantized_already_is_refused() -> None:
    with pytest.raises(ConversionError, match="quantized already"):
        requantize(requantize(FLOAT, "int8", RANGES), "dynamic")


def test_ranges_of_another_model_are_refused() -> None:
    build = Builder()
    build.rescale()
    small = build.head(np.eye(3))
    with pytest.raises(ConversionError, match="another model"):
        quantize(FLOAT, observe(small, IMAGES))


@pytest.mark.parametrize(
    ("tensor", "name"),
    [
        ("m/conv1_relu/Relu6;m/bn_conv1/add_1;m/conv1/convolution;m/bn/sub", "conv1"),
        ("m/block_2_project_BN/batchnorm/add_1;m/block_2_project/convolution", "block_2_project"),
        ("m/block_2_add/Add", "block_2_add"),
        ("m/norm/batchnorm/mul_1", "norm"),
        ("StatefulPartitionedCall:0", ""),
        ("Identity", ""),
        ("plain", "plain"),
        ("", ""),
        (";;/", ""),
    ],
)
def test_short_name_is_the_layers_own(tensor: str, name: str) -> None:
    assert short_name(tensor) == name


@given(st.lists(st.sampled_from(["a", "a#2", "a#3", "b", ""]), max_size=12))
def test_unique_names_differ_and_keep_the_first_of_each(names: list[str]) -> None:
    unique = unique_names(names)
    assert len(set(unique)) == len(names)
    assert all(new.startswith(old) for new, old in zip(unique, names, strict=True))
