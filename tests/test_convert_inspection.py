"""edge-convert --inspect: what is inside anyone's .tflite, as the file and the runtime say it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import flatbuffers
import pytest
from click.testing import CliRunner, Result
from edge_classify.benchmarks.operations import xnnpack
from edge_classify.benchmarks.operations.macs import count_macs
from edge_classify.benchmarks.operations.xnnpack import Delegation
from edge_classify.convert.inspection import inspection
from edge_classify.convert.inspection.inspection import inspect
from edge_classify.convert.inspection.view import run_inspection
from edge_classify.edge.card import TrainingInfo
from edge_classify.edge.console import Command
from edge_classify.edge.errors import ModelFileError
from edge_classify.edge.flatbuffer import MAX_TABLES
from edge_classify.edge.runtime import load_interpreter
from edge_classify.edge.tflite.graph import Operator, Subgraph, Tensor
from edge_classify.edge.tflite.sealing import complete_card, seal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .support.tiny_model import LABELS, SIDE, TinyModel, card, classifier, with_zip, write_sealed


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True)
def show(file: Path, as_json: bool) -> None:
    run_inspection(file, as_json)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(show, [str(argument) for argument in arguments])


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.fixture
def without_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the runtime out where only reading is tested: starting it takes most of the time."""
    skipped = Delegation(None, None, None, "not asked")
    monkeypatch.setattr(inspection, "find_delegation", lambda path, graph: skipped)


def test_operations_weights_and_arithmetic_are_those_of_the_model(tmp_path: Path) -> None:
    found = inspect(write(tmp_path / "m.tflite", classifier()))
    assert [(item.name, item.count, item.weight_bytes, item.macs) for item in found.operations] == [
        ("CONV_2D", 1, 4 * 27 * 4 + 4 * 4, SIDE * SIDE * 4 * 27),  # Kernel and bias.
        ("FULLY_CONNECTED", 1, 4 * 4 * 4, 4 * 4),
        ("MEAN", 1, 2 * 4, 0),
        ("SOFTMAX", 1, 0, 0),
    ]
    assert found.macs == 6912 + 16
    assert sum(item.weight_share for item in found.operations) == pytest.approx(1)
    assert [(item.dtype, item.tensors, item.bytes) for item in found.stored] == [
        ("float32", 3, 512),
        ("int32", 1, 8),
    ]
    (image,), (result,) = found.inputs, found.outputs
    assert (image.name, image.shape, image.dtype, image.quantization) == (
        "image", (1, SIDE, SIDE, 3), "float32", None,
    )  # fmt: skip
    assert result.shape == (1, len(LABELS))
    assert (found.metadata, found.card, found.labels, found.checksum, found.appended) == (
        None, None, None, None, (),
    )  # fmt: skip
    assert (found.problems, found.not_a_classifier) == ((), None)


def test_weights_stored_as_float16_count_for_the_operator_that_uses_them(tmp_path: Path) -> None:
    found = inspect(write(tmp_path / "m.tflite", classifier(half=True)))
    by_name = {item.operator.name: item for item in found.operators}
    assert by_name["DEQUANTIZE"].weight_bytes == 0
    assert by_name["CONV_2D"].weight_bytes == 4 * 27 * 2 + 4 * 4
    assert by_name["CONV_2D"].weights is not None
    assert by_name["CONV_2D"].weights.dtype == "float16"


def test_quantization_tells_tensors_from_channels(tmp_path: Path, without_runtime: None) -> None:
    model = TinyModel()
    given = model.tensor("given", (1, 4), dtype="int8", scales=[0.5])
    weights = model.tensor("weights", (3, 4), [[1] * 4] * 3, "int8", [0.1, 0.2, 0.3])
    result = model.tensor("result", (1, 3), dtype="int8", scales=[0.25])
    model.operator("FULLY_CONNECTED", [given, weights], [result])
    found = inspect(write(tmp_path / "m.tflite", model.pack([given], [result])))
    (operator,) = found.operators
    assert operator.weights is not None and operator.output is not None
    per_channel, per_tensor = operator.weights.quantization, operator.output.quantization
    assert per_channel is not None and per_tensor is not None
    assert (per_channel.kind, per_channel.scales, per_channel.axis) == ("per channel", 3, 0)
    assert (per_tensor.kind, per_tensor.scale, per_tensor.zero_point) == ("per tensor", 0.25, 0)
    assert operator.output.bits == 8
    assert str(found.not_a_classifier).startswith("its input is [1, 4], and this program feeds [1, height,")


def test_signature_names_its_tensors(tmp_path: Path, without_runtime: None) -> None:
    model = TinyModel()
    given, result = model.tensor("given", (1, 4)), model.tensor("result", (1, 4))
    model.operator("RELU", [given], [result])
    path = write(tmp_path / "m.tflite", model.pack([given], [result], "serving_default"))
    assert "  signatures  serving_default\n" in run(path).stdout
    (signature,) = json.loads(run(path, "--json").stdout)["signatures"]
    assert signature == {
        "key": "serving_default", "subgraph": 0, "inputs": {"given": given}, "outputs": {"result": result},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "inputs", "output", "transposed", "macs"),
    [
        ("CONV_2D", [(1, 9, 9, 8), (16, 3, 3, 8)], (1, 9, 9, 16), False, 9 * 9 * 16 * 3 * 3 * 8),
        ("CONV_2D", [(1, 9, 9, 8), (16, 3, 3, 2)], (1, 9, 9, 16), False, 9 * 9 * 16 * 3 * 3 * 2),  # 4 groups.
        ("DEPTHWISE_CONV_2D", [(1, 9, 9, 8), (1, 3, 3, 8)], (1, 4, 4, 8), False, 4 * 4 * 8 * 3 * 3),
        ("FULLY_CONNECTED", [(2, 10), (5, 10)], (2, 5), False, 2 * 5 * 10),
        ("TRANSPOSE_CONV", [(4,), (5, 3, 3, 2), (1, 8, 8, 2)], (1, 16, 16, 5), False, 8 * 8 * 2 * 3 * 3 * 5),
        ("BATCH_MATMUL", [(7, 3, 4), (7, 4, 5)], (7, 3, 5), False, 7 * 3 * 5 * 4),
        ("BATCH_MATMUL", [(7, 4, 3), (7, 4, 5)], (7, 3, 5), True, 7 * 3 * 5 * 4),
        ("CONV_3D", [(1, 4, 4, 4, 2), (3, 3, 3, 2, 6)], (1, 2, 2, 2, 6), False, 8 * 6 * 27 * 2),
        ("ADD", [(1, 9), (1, 9)], (1, 9), False, 0),
        ("SVDF", [(1, 9), (1, 9)], (1, 9), False, None),
        ("CONV_2D", [(1, 9, 9, 8)], (1, 9, 9, 16), False, None),
        ("CONV_2D", [(1, 9, 9, 8), (16, 3)], (1, 9, 9, 16), False, None),
    ],
)  # fmt: skip
def test_arithmetic_of_an_operation_follows_from_its_shapes(
    name: str, inputs: list[tuple[int, ...]], output: tuple[int, ...], transposed: bool, macs: int | None
) -> None:
    shapes = [*inputs, output]
    tensors = tuple(Tensor(i, "", s, None, "float32", 32, None, 0, 0) for i, s in enumerate(shapes))
    indices = tuple(range(len(inputs)))
    operator = Operator(0, 0, name, 1, False, indices, (len(inputs),), transposed)
    assert count_macs(operator, Subgraph(None, (), (), tensors, (operator,))) == macs


def test_weights_behind_the_flatbuffer_count_and_are_missed_when_cut_off(
    tmp_path: Path, without_runtime: None
) -> None:
    model = TinyModel()
    given, result = model.tensor("given", (1, 4)), model.tensor("result", (1, 4))
    weights = model.tensor("weights", (4, 4), range(16))
    model.operator("FULLY_CONNECTED", [given, weights], [result])
    inside = len(model.pack([given], [result]))
    model.buffers[1].data, model.buffers[1].offset, model.buffers[1].size = None, inside, 64
    data = model.pack([given], [result]).ljust(inside + 64, b"\0")
    found = inspect(write(tmp_path / "m.tflite", data))
    assert (found.operations[0].weight_bytes, found.problems) == (64, ())
    cut = inspect(write(tmp_path / "cut.tflite", data[:-1]))
    end = inside + 64
    assert cut.problems == (
        f"it is cut off: weights reach to byte {end:,}, and the file has {end - 1:,} bytes",
    )


@pytest.mark.parametrize(
    ("middle", "left", "groups"), [(None, [], 1), ("RELU", [], 1), ("CUMSUM", ["CUMSUM"], 2), ("CEIL", [], 1)]
)
def test_xnnpack_takes_what_the_runtime_computes_out_of_sight(
    middle: str | None, left: list[str], groups: int, tmp_path: Path
) -> None:
    path = write(tmp_path / "m.tflite", classifier(middle))
    found = inspect(path)
    assert [item.operator.name for item in found.operators if not item.xnnpack] == left
    assert found.delegation.groups == groups
    # Another witness: tensors inside a group are never filled, and reading one is an error.
    interpreter = load_interpreter(path, 1)
    interpreter.invoke()
    readers = {i: item for item in found.operators for i in item.operator.inputs}
    for item in found.operators:
        (index,) = item.operator.outputs
        reader = readers.get(index)
        if item.xnnpack and reader is not None and reader.xnnpack:
            with pytest.raises(ValueError, match="Tensor data is null"):
                interpreter.get_tensor(index)
        else:
            interpreter.get_tensor(index)


def test_custom_operation_is_named_and_leaves_xnnpack_unknown(tmp_path: Path) -> None:
    path = write(tmp_path / "m.tflite", classifier("My\x1b[31mOp"))
    found = inspect(path)
    assert {item.xnnpack for item in found.operators} == {None}
    assert found.delegation.reason is not None and "unresolved custom op" in found.delegation.reason
    assert found.uncounted == ("My\x1b[31mOp",)
    text = run(path).stdout
    assert "custom      operations that are none of TFLite's own: My\\x1b[31mOp (1)" in text
    assert "unknown what it takes: ai-edge-litert" in text
    assert "\x1b" not in text


def test_runtime_that_crashes_is_reported_and_the_rest_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xnnpack, "_START", "import os; os.abort()")
    found = inspect(write(tmp_path / "m.tflite", classifier()))
    assert found.delegation.reason == "the runtime was killed by SIGABRT"
    assert found.macs == 6928


def test_runtime_that_does_not_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xnnpack, "_START", "import time; time.sleep(60)")
    monkeypatch.setattr(xnnpack, "_TIMEOUT_S", 0.2)
    found = inspect(write(tmp_path / "m.tflite", classifier()))
    assert found.delegation.reason == "the runtime gave no answer within 0.2 seconds"


def test_sealed_file_shows_metadata_labels_card_golden_examples_and_checksum(tmp_path: Path) -> None:
    path = write_sealed(tmp_path / "m.tflite")
    found = inspect(path)
    assert found.checksum == "holds"
    assert found.card is not None and found.metadata is not None
    assert found.labels == found.card.labels == LABELS
    (image,), (result,) = found.metadata.inputs, found.metadata.outputs
    # What MediaPipe's ImageClassifier reads: names, size, normalization, range of scores, labels.
    assert (found.metadata.name, found.metadata.min_parser_version) == ("tiny", "1.0.0")
    assert (image.name, image.content) == ("image", f"RGB image {SIDE}x{SIDE}")
    assert [(unit.kind, unit.mean, unit.std) for unit in image.process_units] == [
        ("normalization", (0.0,), (1.0,))
    ]
    assert (set(image.minimum), set(image.maximum)) == ({0.0}, {255.0})
    assert (result.name, result.minimum, result.maximum) == ("probability", (0.0,), (1.0,))
    assert [(file.name, file.type) for file in result.files] == [("labels.txt", "labels of an axis")]
    text = run(path).stdout
    for line in ("checksum    holds", "labels      4: red, green, blue, grey", "golden      golden_0.png ("):
        assert line in text
    assert "tiny, 4 classes" in text.splitlines()[0]


def test_what_travels_is_said_in_words_with_names_notes_and_paths(tmp_path: Path) -> None:
    plain = complete_card(classifier(name="/home/anna/model/image"), card(), "float32")
    training = TrainingInfo("cnn", "none", "anna's skin", 0, "", note="for Dr. Berg")
    path = write(
        tmp_path / "m.tflite",
        seal(classifier(name="/home/anna/model/image"), replace(plain, training=training)),
    )
    lines = run(path).stdout.splitlines()
    start = lines.index("Travels inside:") + 1
    assert [line for line in lines[start:] if line.startswith("  - ")] == [
        "  - the names of 4 classes",
        "  - a card: the model's name 'tiny', the names of its data sets (\"anna's skin\")",
        "  - the note 'for Dr. Berg'",
        "  - the settings of its training, and the versions of the programs that made it",
        "  - no golden examples, so no photo",
        "  - paths that name a user: '/home/anna'",
    ]
    assert json.loads(run(path, "--json").stdout)["user_paths"] == ["/home/anna"]


def test_what_travels_in_a_file_without_a_card_is_not_guessed(tmp_path: Path) -> None:
    path = write(tmp_path / "m.tflite", classifier())
    with_zip(path, path, {"photo.jpg": b"x"})
    text = run(path).stdout
    assert "- no card, so nothing that says which pictures, if any, come from its maker" in text
    assert "- other files: 'photo.jpg'" in text


def test_json_is_one_object_with_the_keys_that_are_documented(tmp_path: Path) -> None:
    result = run(write_sealed(tmp_path / "m.tflite"), "--json")
    (line,) = result.stdout.splitlines()
    record: dict[str, Any] = json.loads(line)
    assert result.exit_code == 0
    assert record["checksum"] == "holds"
    assert record["card"]["golden"][0]["image"] == "golden_0.png"
    assert record["operators"][0]["output"]["shape"] == [1, SIDE, SIDE, 4]
    assert record["xnnpack"]["taken"] == [0, 1, 2, 3]
    assert [file["name"] for file in record["appended"]] == [
        "labels.txt", "card.json", "golden_0.png", "golden_1.png",
    ]  # fmt: skip
    from edge_classify.convert.inspection.record import to_record

    assert all(key in (to_record.__doc__ or "") for key in record)


def test_json_has_null_where_a_file_holds_numbers_that_json_has_not(
    tmp_path: Path, without_runtime: None
) -> None:
    model = TinyModel()
    given = model.tensor("given", (1, 4), dtype="int8", scales=[math.nan])
    record = json.loads(run(write(tmp_path / "m.tflite", model.pack([given], [given])), "--json").stdout)
    assert record["inputs"][0]["quantization"]["scale"] is None


def sealed_with(change: dict[str, Any]) -> bytes:
    return seal(classifier(), replace(complete_card(classifier(), card(), "float32"), **change))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (
            sealed_with({"input": replace(card().input, height=9)}),
            "its card promises input [1, 9, 8, 3] float32, and the model takes [1, 8, 8, 3] float32",
        ),
        (
            sealed_with({"output": replace(card().output, dtype="uint8")}),
            "its card promises uint8 output, and the model gives float32",
        ),
        (
            sealed_with({}).replace(b'"blue"', b'"Blue"').replace(b"tiny", b"tinY"),
            "its appended files are damaged (Bad CRC-32 for file 'card.json')",
        ),
        (
            sealed_with({})[:-200],
            "its metadata names the file 'labels.txt' (labels of an axis), which is not",
        ),
        (sealed_with({}).replace(b"probability", b"probabilitY", 1), "it is damaged: its checksum is"),
    ],
)
def test_file_that_contradicts_itself_is_shown_with_the_problem_and_fails(
    data: bytes, problem: str, tmp_path: Path, without_runtime: None
) -> None:
    path = write(tmp_path / "m.tflite", data)
    result = run(path)
    assert f"  PROBLEM     {problem}" in result.stdout
    assert result.exit_code == 1
    assert json.loads(run(path, "--json").stdout)["problems"][0].startswith(problem)


def test_file_that_is_no_model_ends_in_one_sentence(tmp_path: Path) -> None:
    result = run(write(tmp_path / "m.tflite", b"GIF89a" * 9))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1


TINY, SEALED = classifier(), sealed_with({})


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    whole=st.sampled_from([TINY, SEALED]),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    kept=st.floats(0, 1) | st.just(1.0),
)
def test_damaged_file_is_shown_or_refused_and_nothing_else(
    whole: bytes, flips: list[tuple[float, int]], kept: float, tmp_path: Path, without_runtime: None
) -> None:
    data = bytearray(whole[: int(len(whole) * kept)])
    for place, value in flips if data else []:
        data[int(place * len(data))] = value
    path = write(tmp_path / "m.tflite", bytes(data))
    for arguments in ((path,), (path, "--json")):
        result = run(*arguments)
        assert result.exit_code in (0, 1)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert (result.stdout == "") == (result.stderr != "")


def model_of_many_operators(count: int) -> bytes:
    """Return a small file whose list of operators names the same empty table again and again."""
    builder = flatbuffers.Builder(8 * count)
    builder.StartObject(0)
    table = builder.EndObject()
    builder.StartVector(4, count, 4)
    for _ in range(count):
        builder.PrependUOffsetTRelative(table)
    operators = builder.EndVector()
    builder.StartObject(4)
    builder.PrependUOffsetTRelativeSlot(3, operators, 0)
    graph = builder.EndObject()
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(graph)
    graphs = builder.EndVector()
    builder.StartObject(3)
    builder.PrependUOffsetTRelativeSlot(2, graphs, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_file_with_more_tables_than_any_model_is_refused_before_they_take_memory(
    tmp_path: Path, without_runtime: None
) -> None:
    path = write(tmp_path / "m.tflite", model_of_many_operators(MAX_TABLES + 1))
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=r"damaged: its tables cannot be read"):
            inspect(path)
        assert tracemalloc.get_traced_memory()[1] < 20 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_model_of_very_many_operators_is_shown_in_part_and_told_whole(
    tmp_path: Path, without_runtime: None
) -> None:
    model = TinyModel()
    last = first = model.tensor("given", (1, 4))
    for number in range(1500):
        following = model.tensor("ñ" * 500, (1,) * 500)
        model.operator(f"Custom{number}", [last], [following])
        last = following
    path = write(tmp_path / "m.tflite", model.pack([first], [last]))
    text = run(path).stdout
    assert text.count("Only the first 1,000 are shown; --json has all.") == 2
    assert max(map(len, text.splitlines())) <= 500
    assert len(json.loads(run(path, "--json").stdout)["operators"]) == 1500


def test_inspecting_loads_no_tensorflow(tmp_path: Path) -> None:
    path = write_sealed(tmp_path / "m.tflite")
    code = (
        "import sys; from pathlib import Path\n"
        "from edge_classify.convert.inspection.view import run_inspection\n"
        "run_inspection(Path(sys.argv[1]), True)\n"
        "print([name for name in ('tensorflow', 'keras', 'jax', 'matplotlib') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
