"""A .tflite changed without generated classes, read back with them and by the runtime's own verifier."""

from __future__ import annotations

import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from edge_classify.benchmarks.operations.best_rate import Convolution, write_model
from edge_classify.convert.tflite.flatgraph import pack, unpack
from edge_classify.edge.default_model import DEFAULT_MODEL
from edge_classify.edge.errors import ConversionError
from edge_classify.edge.flatbuffer import FlatTable
from edge_classify.edge.modelfile import ModelFile
from edge_classify.edge.runtime import load_interpreter
from edge_classify.edge.tflite import model as tflite_model
from edge_classify.edge.tflite.graph import Tensor
from edge_classify.edge.tflite.last_layer import with_temperature
from edge_classify.edge.tflite.metadata import add_metadata
from edge_classify.edge.tflite.model import EditableModel
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from .support.tflite_contents import contents, tensors
from .support.tiny_model import TinyModel, classifier
from .support.tiny_tflite import tiny_classifier

DEFAULT = DEFAULT_MODEL.read_bytes()[: ModelFile.read(DEFAULT_MODEL).zip_offset]
TINY = tiny_classifier()
MODELS = {
    "int8 with metadata": DEFAULT,
    "float": TINY,
    "float16 weights": classifier(half=True),
    "no metadata, shared weights": write_model(Convolution(4, 8, 3), "int8"),
}


def named(model: EditableModel, name: str) -> Tensor:
    return next(tensor for tensor in model.graph.tensors if tensor.name == name)


def answer(flatbuffer: bytes, seed: int = 0) -> NDArray[Any]:
    """What the runtime gives for noise, after it has verified the flatbuffer."""
    interpreter = load_interpreter(flatbuffer, 1)
    details, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    noise = np.random.default_rng(seed).integers(0, 100, details["shape"])
    interpreter.set_tensor(details["index"], noise.astype(details["dtype"]))
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(result["index"]))


@pytest.fixture(params=MODELS)
def flatbuffer(request: pytest.FixtureRequest) -> bytes:
    return MODELS[request.param]


def test_new_metadata_changes_nothing_else(flatbuffer: bytes) -> None:
    model = EditableModel(flatbuffer)
    model.set_metadata("mine", bytes(range(256)) * 4)
    before, after = contents(flatbuffer), contents(model.to_bytes())
    assert after["metadata"].pop("mine") == bytes(range(256)) * 4
    assert after == before
    assert np.array_equal(answer(model.to_bytes()), answer(flatbuffer))


def test_model_with_new_metadata_is_longer_by_little_more_than_that(flatbuffer: bytes) -> None:
    assert len(add_metadata(flatbuffer, bytes(700))) < len(flatbuffer) + 700 + 1200


def test_model_without_changes_keeps_its_bytes(flatbuffer: bytes) -> None:
    assert EditableModel(flatbuffer).to_bytes() == flatbuffer


def test_weights_stay_aligned_to_sixteen_bytes() -> None:
    for file in (DEFAULT, TINY):
        buffers = FlatTable.root(add_metadata(file, bytes(700))).tables(4)
        starts = [buffer.vector(0, 1)[0] for buffer in buffers]
        assert {start % 16 for start in starts} == {0}


@given(st.lists(st.binary(max_size=100), min_size=1, max_size=5), st.booleans())
def test_metadata_written_again_gives_what_writing_it_once_gives(versions: list[bytes], reread: bool) -> None:
    model = EditableModel(TINY)
    for data in versions:
        model.set_metadata("mine", data)
        model = EditableModel(model.to_bytes()) if reread else model
    once = EditableModel(TINY)
    once.set_metadata("mine", versions[-1])
    assert contents(model.to_bytes()) == contents(once.to_bytes())
    if all(versions):  # An empty one may have no place of its own.
        assert model.to_bytes() == once.to_bytes()


@pytest.mark.parametrize("size", [10, 400, 4000])
def test_metadata_between_weights_is_replaced_and_the_file_grows_once_at_most(size: int) -> None:
    old = unpack(TINY)
    old.buffers.insert(1, schema.BufferT(data=np.frombuffer(b"old!" * 100, np.uint8)))
    for tensor in old.subgraphs[0].tensors:
        tensor.buffer += tensor.buffer > 0
    old.metadata = [schema.MetadataT(name="TFLITE_METADATA", buffer=1)]
    packed = pack(old)
    first = add_metadata(packed, b"n" * size)
    assert contents(first)["metadata"] == {"TFLITE_METADATA": b"n" * size}
    assert len(first) <= len(packed) + (size + 64 if size > 400 else 0)
    assert b"old!" not in first
    assert len(add_metadata(first, b"m" * size)) == len(first)
    assert np.array_equal(answer(first), answer(TINY))


def test_two_entries_of_one_name_become_one() -> None:
    twice = unpack(TINY)
    for text in (b"first", b"second"):
        twice.buffers.append(schema.BufferT(data=np.frombuffer(text, np.uint8)))
        twice.metadata = [
            *(twice.metadata or []),
            schema.MetadataT(name="TFLITE_METADATA", buffer=len(twice.buffers) - 1),
        ]
    assert contents(add_metadata(pack(twice), b"third"))["metadata"] == {"TFLITE_METADATA": b"third"}


def test_metadata_that_a_tensor_shares_leaves_its_values_alone() -> None:
    model = unpack(TINY)
    weights = next(tensor for tensor in model.subgraphs[0].tensors if tensor.name == b"k")
    model.metadata = [schema.MetadataT(name="TFLITE_METADATA", buffer=weights.buffer)]
    changed = add_metadata(pack(model), b"any")
    assert tensors(changed)["k"]["buffer"] == tensors(TINY)["k"]["buffer"]
    assert contents(changed)["metadata"] == {"TFLITE_METADATA": b"any"}


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("count", [9, 18, 300])
def test_new_values_of_any_size_are_one_tensors_alone(shared: bool, count: int) -> None:
    old = unpack(TINY)
    kernel = next(tensor for tensor in old.subgraphs[0].tensors if tensor.name == b"k")
    if shared:
        old.subgraphs[0].tensors.append(
            schema.TensorT(shape=kernel.shape, buffer=kernel.buffer, name="other")
        )
    packed = pack(old)
    model = EditableModel(packed)
    values = np.arange(count, dtype=np.float32)
    model.set_constant(named(model, "k"), values)
    assert np.array_equal(model.constant(named(model, "k")), values)
    before, after = tensors(packed), tensors(model.to_bytes())
    assert after.pop("k")["buffer"] == values.tobytes()
    assert before.pop("k")["buffer"] != values.tobytes() and after == before


def test_tensor_without_values_takes_none() -> None:
    model = EditableModel(TINY)
    with pytest.raises(ValueError, match="image has no stored values"):
        model.set_constant(named(model, "image"), np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="k has 0 scales, not 1"):
        model.set_scales(named(model, "k"), np.ones(1, np.float32))


def test_scales_that_two_tensors_share_in_the_file_change_for_one_alone() -> None:
    packed = bytearray(write_model(Convolution(4, 8, 3), "int8", layers=1))
    tables = FlatTable.root(packed).tables(2)[0].tables(0)
    places = [position for table in tables if (position := table.field_position(4)) is not None]
    # The tensors are input, weights, bias and output, and the builder writes backwards.
    target = tables[0].target(4)
    assert target is not None and places[3] < target
    struct.pack_into("<I", packed, places[3], target - places[3])
    model = EditableModel(bytes(packed))
    given, result = (model.graph.tensors[index] for index in (0, 3))
    model.set_scales(result, model.scales(result) / np.float32(2))
    before, after = tensors(bytes(packed)), tensors(model.to_bytes())
    quantization = before["t3"]["quantization"]
    assert after.pop("t3")["quantization"] == {**quantization, "scale": [np.float32(0.05) / np.float32(2)]}
    assert before.pop("t3") and after == before
    assert model.scales(given) == np.float32(0.05) and model.scales(result) == np.float32(0.025)
    load_interpreter(model.to_bytes(), 1)


def external() -> bytes:
    """A dense layer and softmax whose weights, 2 times the identity, lie behind the flatbuffer."""
    model = TinyModel()
    given, logits, result = (model.tensor(name, (1, 4)) for name in ("given", "logits", "result"))
    weights = model.tensor("weights", (4, 4), np.eye(4) * 2)
    model.operator("FULLY_CONNECTED", [given, weights], [logits], schema.FullyConnectedOptionsT())
    model.operator("SOFTMAX", [logits], [result], schema.SoftmaxOptionsT(beta=1.0))
    values: bytes = model.buffers[1].data.tobytes()
    model.buffers[1].data, model.buffers[1].offset, model.buffers[1].size = None, 2048, len(values)
    packed = model.pack([given], [result])
    assert len(packed) < 2048
    return packed.ljust(2048, b"\0") + values


def test_weights_behind_the_flatbuffer_are_found_where_they_are_now() -> None:
    for metadata in (b"any", bytes(5000)):
        changed = add_metadata(external(), metadata)
        assert np.array_equal(answer(changed), answer(external()))
        assert tensors(add_metadata(changed, bytes(300))) == tensors(external())


def test_weights_behind_the_flatbuffer_are_divided_by_a_temperature() -> None:
    assert np.array_equal(
        np.frombuffer(tensors(with_temperature(external(), 2.0))["weights"]["buffer"], "<f4"),
        np.eye(4).ravel(),
    )


def test_options_of_a_custom_operation_behind_the_flatbuffer_are_found_where_they_are_now() -> None:
    model = TinyModel()
    given, result = model.tensor("given", (1, 4)), model.tensor("result", (1, 4))
    model.operator("MyOperation", [given], [result])
    model.operators[0].largeCustomOptionsOffset, model.operators[0].largeCustomOptionsSize = 1024, 4
    changed = add_metadata(model.pack([given], [result]).ljust(1024, b"\0") + b"MINE", b"any")
    operator = contents(changed)["subgraphs"][0]["operators"][0]
    start = operator["largeCustomOptionsOffset"]
    assert changed[start : start + operator["largeCustomOptionsSize"]] == b"MINE"


def test_model_of_several_graphs_is_refused() -> None:
    model = schema.ModelT.InitFromPackedBuf(TINY)
    model.subgraphs = [*model.subgraphs, *model.subgraphs]
    with pytest.raises(ConversionError, match="has 2 graphs, for conditions, loops or several signatures"):
        EditableModel(pack(model))


def test_model_that_would_get_larger_than_a_flatbuffer_can_be_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tflite_model, "MAX_BYTES", len(TINY))
    EditableModel(TINY)
    with pytest.raises(ConversionError, match="The model is too large to be changed"):
        add_metadata(TINY, b"any")
    with pytest.raises(ConversionError, match="The model is too large to be changed"):
        EditableModel(TINY + b"x")


@given(st.binary(max_size=200))
def test_bytes_that_are_no_model_are_refused(garbage: bytes) -> None:
    with pytest.raises(ConversionError, match=r"no TFLite flatbuffer, or is damaged"):
        EditableModel(garbage)


@given(st.lists(st.tuples(st.integers(0, len(TINY) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_model_is_refused_or_changed_but_never_crashes(places: list[tuple[int, int]]) -> None:
    damaged = bytearray(TINY)
    for place, value in places:
        damaged[place] = value
    with suppress(ConversionError):
        assert len(add_metadata(bytes(damaged), b"any")) < 3 * len(TINY)
    with suppress(ConversionError):
        assert len(with_temperature(bytes(damaged), 2.0)) < 3 * len(TINY)


def test_a_model_is_sealed_and_given_a_temperature_without_generated_classes(tmp_path: Path) -> None:
    flatbuffer, sealed = tmp_path / "plain.tflite", tmp_path / "sealed.tflite"
    flatbuffer.write_bytes(classifier())
    code = f"""
import sys
for name in ("ai_edge_litert.schema_py_generated", "tensorflow", "keras"):
    sys.modules[name] = None  # Importing it is an ImportError.
from pathlib import Path
from edge_classify.edge.card import InputSpec, ModelCard
from edge_classify.edge.tflite.last_layer import with_temperature
from edge_classify.edge.tflite.sealing import complete_card, seal
changed = with_temperature(Path({str(flatbuffer)!r}).read_bytes(), 2.0)
card = ModelCard("tiny", ("red", "green", "blue", "grey"), InputSpec(8, 8, "float32"))
Path({str(sealed)!r}).write_bytes(seal(changed, complete_card(changed, card, "float32")))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert ModelFile.read(sealed).labels == ("red", "green", "blue", "grey")
    weights = np.frombuffer(tensors(sealed.read_bytes())["weights"]["buffer"], "<f4")
    assert np.array_equal(weights.reshape(4, 4), np.eye(4) / 2)
