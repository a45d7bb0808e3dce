"""Where a model's time goes, by LiteRT's real profiler; and what plain convolutions reach here."""

from __future__ import annotations

from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema
from edge_classify.benchmarks.operations import profiler as litert
from edge_classify.benchmarks.operations.best_rate import (
    SHAPES,
    Convolution,
    best_rate,
    model_macs,
    write_model,
)
from edge_classify.benchmarks.operations.macs import count_macs
from edge_classify.benchmarks.operations.measure import measure_operations
from edge_classify.benchmarks.operations.tables import describe, print_operations
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.default_model import DEFAULT_MODEL
from edge_classify.edge.errors import ModelFileError
from edge_classify.edge.flatbuffer import FlatTable
from edge_classify.edge.modelfile import mapped
from edge_classify.edge.runtime import Execution, load_interpreter
from edge_classify.edge.tflite.graph import read_graph
from edge_classify.edge.tflite.schema import OPERATIONS, TENSOR_TYPES, name_of

from .support.delegates import TINY_DELEGATE, compile_library
from .support.tiny_model import classifier


def write(path: Path, model: bytes) -> Path:
    path.write_bytes(model)
    return path


def test_names_are_those_of_the_published_schema() -> None:
    for names, enum in ((OPERATIONS, schema.BuiltinOperator), (TENSOR_TYPES, schema.TensorType)):
        published = {code: name for name, code in vars(enum).items() if isinstance(code, int)}
        assert dict(enumerate(names)) == published
    assert name_of(OPERATIONS, 9999, "operation") == "operation 9999"


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("shape", [Convolution(4, 8, 1), Convolution(5, 16, 3)], ids=str)
def test_synthetic_model_has_its_macs_and_is_run_by_xnnpack(
    shape: Convolution, dtype: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "m.tflite", write_model(shape, dtype))
    with mapped(path) as data:
        graph = read_graph(FlatTable.root(data)).subgraphs[0]
    assert sum(count_macs(operator, graph) or 0 for operator in graph.operators) == model_macs(shape)
    interpreter = load_interpreter(path, 1)
    interpreter.invoke()
    nodes = [node["op_name"] for node in interpreter._get_ops_details()]
    assert nodes.count("DELEGATE") == 1
    assert interpreter.get_input_details()[0]["dtype"].__name__ == dtype


def test_default_models_operators_are_timed_and_add_up_to_an_inference() -> None:
    classifier = Classifier.from_file(DEFAULT_MODEL)
    found = measure_operations(DEFAULT_MODEL, Execution(), median_ms=1.0)
    assert "own profiler" in found.profiler
    times = {operation.index: operation.ms for operation in found.operators if operation.index is not None}
    # XNNPACK makes one operator of scaling's two.
    assert len(times) > 60 and [index for index, ms in times.items() if ms is None] == [1, 2]
    assert sum(operation.share or 0 for operation in found.operators) == pytest.approx(1.0, abs=0.01)
    # A convolution of 96x96 pixels costs more than the softmax of ten classes.
    first = next(operation for operation in found.operators if operation.name == "CONV_2D")
    softmax = next(operation for operation in found.operators if operation.name == "SOFTMAX")
    assert (first.ms or 0) > (softmax.ms or 0)
    assert first.by == "XNNPACK" and first.macs == 48 * 48 * 32 * 27 and first.output == "48x48x32"
    # Every operator reads its inputs and writes its output: 96x96x3 pixels, 27 weights and a bias a channel.
    assert first.bytes == 96 * 96 * 3 + 32 * (27 + 4) + 48 * 48 * 32
    # 300 million at 224x224 with 1,000 classes: Sandler et al., arXiv:1801.04381, table 4.
    assert found.macs == pytest.approx(300e6 * (96 / 224) ** 2, rel=0.05)
    assert classifier.classes == 10 and found.uncounted == ()


def test_operator_outside_xnnpack_is_listed_with_what_it_takes(tmp_path: Path) -> None:
    path = write(tmp_path / "m.tflite", classifier("CUMSUM"))
    found = measure_operations(path, Execution(), median_ms=0.1)
    assert found.outside == ("CUMSUM",)
    by = {operation.name: operation.by for operation in found.operators}
    assert by["CUMSUM"] == "the runtime" and by["CONV_2D"] == "XNNPACK"
    assert any("Outside XNNPACK and delegates: 1 operators (CUMSUM)" in line for line in describe(found))


def test_rate_is_macs_over_the_time_and_a_share_of_what_convolutions_reach(tmp_path: Path) -> None:
    path = write(tmp_path / "m.tflite", write_model(SHAPES[-1], "float32"))
    interpreter = load_interpreter(path, 1)
    assert interpreter.get_input_details()[0]["shape"][1] == SHAPES[-1].side
    found = measure_operations(path, Execution(), median_ms=10.0)
    rate = model_macs(SHAPES[-1]) / 10e-3 / 1e9
    assert found.gmacs_per_s == pytest.approx(rate)
    assert found.best_gmacs_per_s and found.of_best
    assert found.of_best * found.best_gmacs_per_s == pytest.approx(rate)
    assert found.best_shape in [str(shape) for shape in SHAPES]


def test_int8_models_are_compared_with_int8_convolutions(tmp_path: Path) -> None:
    whole, float32 = best_rate("ai-edge-litert", 1, "int8"), best_rate("ai-edge-litert", 1, "float32")
    found = measure_operations(
        write(tmp_path / "m.tflite", write_model(SHAPES[-1], "int8")), Execution(), 1.0
    )
    assert found.best_gmacs_per_s == whole.gmacs_per_s != float32.gmacs_per_s


@pytest.mark.slow
def test_runtime_without_a_profiler_says_so_and_the_rest_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "m.tflite", classifier())
    found = measure_operations(path, Execution(runtime="tensorflow"), median_ms=0.1)
    assert "no profiler" in found.profiler and "ai-edge-litert has one" in found.profiler
    assert {operation.ms for operation in found.operators} == {None}
    assert found.macs and found.outside == ()
    print_operations(found, "m\x1b[31m")
    shown = capsys.readouterr().out
    assert "No times: tensorflow" in shown and "CONV_2D" in shown and "\x1b[31m" not in shown


def test_profiler_with_another_interface_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "other.c"
    source.write_text("int LiteRtCreateEnvironment(void) { return 0; }\n")
    other = compile_library(source, tmp_path / "libLiteRt.so")
    monkeypatch.setattr(litert, "find_library", lambda package: other)
    path = write(tmp_path / "m.tflite", classifier())
    found = measure_operations(path, Execution(), median_ms=0.1)
    assert "profiler cannot be used: it has no function LiteRtCreateModelFromFile" in found.profiler
    source.write_text("#include <stdlib.h>\nint LiteRtCreateEnvironment(void) { abort(); }\n")
    compile_library(source, other)
    assert "was killed by SIGABRT" in measure_operations(path, Execution(), median_ms=0.1).profiler


def test_delegates_operators_are_named_after_it(tmp_path: Path) -> None:
    library = str(compile_library(TINY_DELEGATE, tmp_path / "libtiny.so"))
    execution = Execution(delegate=library, delegate_options=(("mode", "take one"),))
    path = write(tmp_path / "m.tflite", classifier())
    found = measure_operations(path, execution, median_ms=0.1)
    runners = [operation.by for operation in found.operators]
    assert runners.count(library) == 1 and "XNNPACK" in runners
    assert "together with an external delegate" in found.profiler


def test_operation_that_the_runtime_lacks_still_shows_the_graph(tmp_path: Path) -> None:
    path = write(tmp_path / "m.tflite", classifier("Mine"))
    found = measure_operations(path, Execution(), median_ms=0.1)
    assert found.outside is None and found.uncounted == ("Mine",)
    assert {operation.by for operation in found.operators} == {None}


def test_damaged_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "broken.tflite", classifier()[:200])
    with pytest.raises(ModelFileError, match=r"broken\.tflite is damaged"):
        measure_operations(path, Execution(), median_ms=0.1)
