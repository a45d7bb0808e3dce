"""What the doctor says of model files, and of all together."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from edge_classify.edge.classifier import DEFAULT_EXECUTION
from edge_classify.edge.default_model import DEFAULT_MODEL
from edge_classify.edge.doctor import run
from edge_classify.edge.doctor.finding import ERROR, OK, WARNING, Finding
from edge_classify.edge.doctor.models import ModelQuestions, check_model
from edge_classify.edge.doctor.probe import Probe, probe
from edge_classify.edge.doctor.run import run_doctor
from edge_classify.edge.foreign import NO_FACTS
from edge_classify.edge.runtime import Execution
from edge_classify.edge.tflite.sealing import Golden, complete_card, seal

from .support.commands import run_command
from .support.tiny_model import SIDE, TinyModel, card, classifier, golden_pixels, write_sealed


def _examine(path: Path, execution: Execution = DEFAULT_EXECUTION) -> dict[str, Finding]:
    asked = ModelQuestions(NO_FACTS, execution, None, 1)
    return {finding.name.partition(": ")[2] or "file": finding for finding in check_model(path, asked)}


def test_sealed_model_is_described_timed_and_gives_its_golden_answers(tmp_path: Path) -> None:
    found = _examine(write_sealed(tmp_path / "tiny.tflite"))
    assert {name: finding.status for name, finding in found.items()} == {
        "file": OK, "speed": OK, "self-check": OK,
    }  # fmt: skip
    assert "input 8x8 float32, 4 labels" in found["file"].detail
    assert "ms an image (median of 30, 1 thread)" in found["speed"].detail
    assert "golden examples within 0.0000" in found["self-check"].detail


def test_model_that_answers_otherwise_than_when_it_was_made_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "tiny.tflite"
    flatbuffer = classifier()
    golden = Golden(golden_pixels(1), np.array([1, 0, 0, 0], np.float32), 0.01)  # It is not that sure.
    path.write_bytes(seal(flatbuffer, complete_card(flatbuffer, card(), "float32"), [golden]))
    found = _examine(path)["self-check"]
    assert found.status == ERROR
    assert found.detail.startswith(
        "golden example golden_0.png failed: largest difference of a probability 0."
    )


@pytest.mark.parametrize("place", [100, 2000])
def test_damaged_model_is_an_error_with_a_remedy_and_is_not_run(tmp_path: Path, place: int) -> None:
    path = write_sealed(tmp_path / "tiny.tflite")
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(data)
    found = _examine(path)
    assert list(found) == ["file"]
    assert found["file"].status == ERROR
    assert "checksum" in found["file"].detail
    assert found["file"].remedy == "Copy it again, or convert it again with edge-convert"


def test_model_that_the_runtime_refuses_is_an_error_that_says_why(tmp_path: Path) -> None:
    path = tmp_path / "custom.tflite"
    path.write_bytes(classifier(middle="MyOwnOperation"))
    found = _examine(path)
    assert found["running it"].status == ERROR
    assert "MyOwnOperation" in found["running it"].detail
    assert "Convert it again" in str(found["running it"].remedy)


def test_model_is_not_to_be_converted_again_where_no_runtime_can_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tflite_runtime").mkdir()
    (tmp_path / "tflite_runtime" / "__init__.py").write_text("raise ImportError('built for another Python')")
    # For the child process that runs the model.
    monkeypatch.syspath_prepend(tmp_path)
    found = _examine(write_sealed(tmp_path / "tiny.tflite"), Execution(runtime="tflite-runtime"))
    assert "built for another Python" in found["running it"].detail
    assert found["running it"].remedy == "A runtime is needed first: see above"


def test_operators_that_xnnpack_leaves_are_counted(tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.tflite", tmp_path / "part.tflite"
    whole.write_bytes(classifier())
    part.write_bytes(classifier(middle="CUMSUM"))
    all_of_it, some = probe(whole, DEFAULT_EXECUTION), probe(part, DEFAULT_EXECUTION)
    assert isinstance(all_of_it, Probe)
    assert isinstance(some, Probe)
    assert (all_of_it.operators, all_of_it.taken) == (4, 4)
    assert (some.operators, some.taken) == (5, 4)


def test_model_of_which_xnnpack_takes_nothing_is_a_warning(tmp_path: Path) -> None:
    model = TinyModel()
    image, axes = model.tensor("image", (1, SIDE, SIDE, 3)), model.tensor("axes", (2,), [1, 2], "int32")
    result = model.tensor("result", (1, 3))
    model.operator("REDUCE_PROD", [image, axes], [result], schema.ReducerOptionsT())
    path = tmp_path / "none.tflite"
    path.write_bytes(model.pack([image], [result]))
    found = _examine(path)["speed"]
    assert found.status == WARNING
    assert "XNNPACK takes none of its operators" in found.detail


def test_threads_that_were_asked_for_are_those_that_are_timed(tmp_path: Path) -> None:
    found = _examine(write_sealed(tmp_path / "tiny.tflite"), Execution(threads=2))
    assert "2 threads" in found["speed"].detail


def test_doctor_goes_on_after_a_check_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(root: Path) -> Iterator[Finding]:
        yield Finding("board", OK, "before it fails")
        raise ZeroDivisionError("strange board")

    monkeypatch.setattr(run, "check_board", fail)
    found = list(run_doctor([], root=tmp_path))
    names = [finding.name for finding in found]
    failed = found[names.index("board") + 1]
    assert failed.status == ERROR
    assert "ZeroDivisionError: strange board" in failed.detail
    assert "display" in names[names.index("board") :]


def test_doctor_loads_neither_opencv_nor_tensorflow_itself(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from edge_classify.edge.doctor.run import run_doctor\n"
        f"found = list(run_doctor([Path({str(DEFAULT_MODEL)!r})]))\n"
        "assert not {'cv2', 'tensorflow', 'picamera2'} & set(sys.modules)\n"
        "assert not [f for f in found if f.status == 'error'], found\n"
        "assert any('self-check' in f.name for f in found)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_command_prints_findings_as_text_and_ends_with_1_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a \x1b[31mred.tflite"
    path.write_bytes(b"no model\n")
    done = run_command("edge-classify", "--doctor", "--model", path)
    assert done.returncode == 1
    assert "error    model a \\x1b[31mred.tflite: " in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert "Copy it again" in done.stdout


def test_command_without_errors_ends_with_0_and_prints_an_object_a_line_as_json(tmp_path: Path) -> None:
    done = run_command("edge-classify", "--doctor", "--json", "-m", write_sealed(tmp_path / "tiny.tflite"))
    assert done.returncode == 0, done.stdout
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(set(record) == {"name", "status", "detail", "remedy"} for record in records)
    assert {record["status"] for record in records} <= {OK, WARNING}
    assert records[0]["name"] == "Python"


def test_delegate_that_cannot_be_had_and_is_replaced_is_a_warning(tmp_path: Path) -> None:
    execution = Execution(delegate="libnone.so.9", delegate_fallback=True)
    found = _examine(write_sealed(tmp_path / "tiny.tflite"), execution)["delegate"]
    assert found.status == WARNING
    assert "libnone.so.9" in found.detail
    strict = _examine(tmp_path / "tiny.tflite", Execution(delegate="libnone.so.9"))
    assert strict["running it"].status == ERROR
