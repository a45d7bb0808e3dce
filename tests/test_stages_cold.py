"""Whole processes of edge-classify: their options, and the reasons of those that fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from edge_classify.benchmarks.stages.cold import measure_cold_start, runner_options
from edge_classify.edge.errors import BenchmarkError
from edge_classify.edge.foreign import ForeignFacts
from edge_classify.edge.modelfile import Normalization
from edge_classify.edge.runtime import Execution
from hypothesis import given
from hypothesis import strategies as st

from .support.pictures import make_picture
from .support.tiny_model import LABELS, classifier, write_sealed

RAW = Normalization((0.0,), (1.0,))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sealed(tmp_path_factory.mktemp("model") / "tiny.tflite")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "-m ein bild.png"
    make_picture("blue 3", 1).save(path)
    return path


def test_cold_start_counts_the_runs_asked_for_in_a_folder_with_a_hostile_module(
    model: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('imported from the working folder')")
    monkeypatch.chdir(tmp_path)
    # Would end the run, and a true one would be sent the answers.
    monkeypatch.setenv("EDGE_CLASSIFY_WEBHOOK", "no address")
    start = measure_cold_start(model, photo, runs=3)
    assert start.runs == 3
    assert 0 < start.lowest_ms <= start.median_ms <= start.highest_ms
    assert start.peak_mb is not None and start.peak_mb > 20


def test_photo_that_cannot_be_read_is_an_error_with_the_reason(model: Path, tmp_path: Path) -> None:
    (tmp_path / "leer.png").write_bytes(b"")
    with pytest.raises(BenchmarkError, match=r"leer\.png failed \(.*it is empty \(0 bytes\)"):
        measure_cold_start(model, tmp_path / "leer.png")


def test_process_that_takes_for_ever_is_an_error(
    model: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_classify.benchmarks.stages.cold._PROGRAM", "import time; time.sleep(60)")
    monkeypatch.setattr("edge_classify.benchmarks.stages.cold._TIMEOUT_S", 0.5)
    with pytest.raises(BenchmarkError, match=r"took longer than 0\.5 s for .*ein bild\.png"):
        measure_cold_start(model, photo)


def test_model_without_a_card_is_started_with_what_it_does_not_say(photo: Path, tmp_path: Path) -> None:
    path, labels = tmp_path / "foreign.tflite", tmp_path / "labels.txt"
    path.write_bytes(classifier())
    labels.write_text("\n".join(LABELS))
    with pytest.raises(BenchmarkError, match="does not say how pixels are scaled"):
        measure_cold_start(path, photo, runs=1)
    raw = ForeignFacts(normalization=RAW)
    assert measure_cold_start(path, photo, labels=labels, facts=raw, runs=1).median_ms > 0
    labels.write_text("one\ntwo")
    with pytest.raises(BenchmarkError, match="names 2 classes"):
        measure_cold_start(path, photo, labels=labels, facts=raw, runs=1)


def test_execution_is_passed_on_as_options() -> None:
    execution = Execution("tensorflow", 2, "lib.so", (("device", "usb"), ("x", "1")), True, True)
    options = runner_options(Path("/m.tflite"), execution, None)
    assert options == [
        "--model=/m.tflite", "--runtime=tensorflow", "--threads=2", "--delegate=lib.so",
        "--delegate-option=device=usb", "--delegate-option=x=1", "--delegate-fallback", "--untrusted",
    ]  # fmt: skip


numbers = st.decimals(1, 999_999, places=4).map(float)
normalizations = st.one_of(
    st.builds(Normalization, st.tuples(numbers), st.tuples(numbers)),
    st.builds(Normalization, st.tuples(numbers, numbers, numbers), st.tuples(numbers, numbers, numbers)),
)


@given(normalizations)
def test_normalization_survives_the_command_line(normalization: Normalization) -> None:
    assert Normalization.parse(normalization.to_text()) == normalization
