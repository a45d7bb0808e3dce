"""External delegates: real shared libraries, compiled here, since no accelerator can be counted on."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
from edge_classify.edge import Classifier
from edge_classify.edge.delegates import parse_delegate_options
from edge_classify.edge.errors import DelegateError, ModelFileError, OptionError
from edge_classify.edge.isolation.parent import open_isolated
from edge_classify.edge.modelfile import Normalization
from edge_classify.edge.runtime import Execution, Loaded, open_interpreter

from .support.delegates import TINY_DELEGATE, compile_library
from .support.tiny_model import LABELS, classifier, golden_pixels

RAW = Normalization((0.0,), (1.0,))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_library(TINY_DELEGATE, tmp_path_factory.mktemp("delegate") / "libtiny.so")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.tflite"
    path.write_bytes(classifier())
    return path


def opened(model: Path, library: Path | str, mode: str, fallback: bool = False, **options: str) -> Loaded:
    given = tuple({**options, "mode": mode}.items())
    return open_interpreter(
        model, Execution(delegate=str(library), delegate_options=given, delegate_fallback=fallback)
    )


def run(loaded: Loaded) -> None:
    interpreter = loaded.interpreter
    tensor = interpreter.get_input_details()[0]
    interpreter.set_tensor(tensor["index"], np.zeros(tensor["shape"], np.float32))
    interpreter.invoke()


def test_delegate_that_works_runs_its_part_and_outlives_the_interpreter(
    model: Path, library: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    loaded = opened(model, library, "take one", log=str(log))
    run(loaded)
    gc.collect()
    assert loaded.remarks == ()
    assert log.read_text().splitlines() == ["invoked"]
    del loaded
    gc.collect()
    assert log.read_text().splitlines() == ["invoked", "kernel freed", "delegate destroyed"]


def test_delegate_that_works_does_so_in_an_isolated_process_too(
    model: Path, library: Path, tmp_path: Path
) -> None:
    # The child may write no files, so what it does is told by the output: the delegate leaves zeros.
    options = (("mode", "take one"),)
    loaded = open_isolated(model, Execution(delegate=str(library), delegate_options=options))
    run(loaded)
    plain = open_interpreter(model, Execution())
    run(plain)
    results = [
        each.interpreter.get_tensor(each.interpreter.get_output_details()[0]["index"])
        for each in (loaded, plain)
    ]
    assert not np.array_equal(*results)


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("refuse", r"delegate .*libtiny\.so cannot be started with .*mode=refuse \(no device; speed mode\)"),
        ("refuse silently", r"libtiny\.so cannot be started .* \(it gives no reason\)"),
        ("refuse model", r"libtiny\.so cannot be applied to .*m\.tflite \(.*this model is not for me"),
        ("take nothing", r"libtiny\.so takes no operation of .*m\.tflite"),
    ],
)
def test_delegate_that_refuses_is_an_error_and_with_the_fallback_a_remark(
    mode: str, message: str, model: Path, library: Path
) -> None:
    with pytest.raises(DelegateError, match=f"{message}.*CPU instead, give --delegate-fallback"):
        opened(model, library, mode, speed="max")
    loaded = opened(model, library, mode, fallback=True, speed="max")
    (remark,) = loaded.remarks
    assert "libtiny.so" in remark
    assert remark.endswith("It runs on the CPU instead")
    run(loaded)


def test_classifier_on_the_fallback_gives_the_cpus_answer_and_the_remark(model: Path, library: Path) -> None:
    execution = Execution(
        delegate=str(library), delegate_options=(("mode", "refuse"),), delegate_fallback=True
    )
    fallen = Classifier.from_file(model, LABELS, RAW, execution)
    assert len(fallen.remarks) == 1
    assert fallen.clone().remarks == fallen.remarks
    plain = Classifier.from_file(model, LABELS, RAW)
    pixels = golden_pixels(1)
    np.testing.assert_array_equal(
        fallen.classify_pixels(pixels).probabilities, plain.classify_pixels(pixels).probabilities
    )


def test_delegate_whose_library_is_missing_or_none_is_refused_with_the_remedy(
    model: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        DelegateError, match=r"libnone\.so cannot be loaded \(.*Install it, or give its full path"
    ):
        opened(model, "libnone.so", "refuse")
    with pytest.raises(DelegateError, match="apt install libedgetpu1-std"):
        opened(model, tmp_path / "libedgetpu.so.1", "refuse")
    text = tmp_path / "text.so"
    text.write_text("no library")
    with pytest.raises(DelegateError, match=r"text\.so cannot be loaded \(.*text\.so"):
        opened(model, text, "refuse")
    (tmp_path / "other.c").write_text("int answer(void) { return 42; }")
    other = compile_library(tmp_path / "other.c", tmp_path / "other.so")
    with pytest.raises(
        DelegateError, match=r"other\.so is no TFLite delegate: it has no function tflite_plugin"
    ):
        opened(model, other, "refuse")


def test_edge_tpu_that_does_not_start_names_the_plug_and_the_group(
    model: Path, library: Path, tmp_path: Path
) -> None:
    coral = tmp_path / "libedgetpu.so.1"
    coral.write_bytes(library.read_bytes())
    with pytest.raises(DelegateError, match=r"plugged in.*usermod -aG plugdev"):
        opened(model, coral, "refuse silently")
    with pytest.raises(DelegateError, match=r"takes no operation .* edgetpu_compiler"):
        opened(model, coral, "take nothing")


def test_model_for_the_edge_tpu_asks_for_the_delegate(library: Path, tmp_path: Path) -> None:
    path = tmp_path / "compiled.tflite"
    path.write_bytes(classifier("edgetpu-custom-op"))
    with pytest.raises(ModelFileError, match=r"compiled for the Edge TPU: give --delegate libedgetpu\.so\.1"):
        open_interpreter(path, Execution())
    with pytest.raises(ModelFileError, match=r"give --delegate libedgetpu\.so\.1"):
        opened(path, library, "take one")


def test_delegate_options_are_pairs_in_their_order() -> None:
    assert parse_delegate_options(["b=1", "a=x=y", "c="]) == (("b", "1"), ("a", "x=y"), ("c", ""))
    for text in ("a", "=1", ""):
        with pytest.raises(OptionError, match="must be KEY=VALUE"):
            parse_delegate_options([text])
    with pytest.raises(OptionError, match="given twice: 1 and 2"):
        parse_delegate_options(["a=1", "a=2"])
