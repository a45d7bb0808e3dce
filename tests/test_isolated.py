"""Models in a process of their own: nothing that happens there takes the runner down, or is believed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from ai_edge_litert import schema_py_generated as schema
from edge_classify.edge import Classifier
from edge_classify.edge.errors import EdgeClassifyError, ModelFileError
from edge_classify.edge.isolation import process
from edge_classify.edge.isolation.messages import (
    MAX_JSON_BYTES,
    MAX_TENSOR_BYTES,
    BrokenMessageError,
    TensorDetails,
    parse_failure,
    parse_ready,
)
from edge_classify.edge.isolation.parent import IsolatedModel, Limits, open_isolated
from edge_classify.edge.modelfile import ModelFile, Normalization
from edge_classify.edge.runtime import Execution, open_interpreter
from hypothesis import given
from hypothesis import strategies as st

from .support.finished_files import KINDS
from .support.tiny_model import LABELS, SIDE, TinyModel, classifier, golden_pixels, write_sealed
from .support.waiting import wait_until

RAW = Normalization((0.0,), (1.0,))
UNTRUSTED = Execution(untrusted=True)
PATIENT, SHORT = Limits(), Limits(load_s=1)
READY = json.dumps(
    {
        "inputs": [vars(TensorDetails(0, [1, SIDE, SIDE, 3], [], "float32", 0.0, 0))],
        "outputs": [vars(TensorDetails(1, [1, 4], [], "float32", 0.0, 0))],
        "remarks": [],
    }
)
# What a child does that was taken over: the code runs in place of child.py's.
TALK = (
    "import os, struct, sys, time\n"
    "def send(kind, data): os.write(1, struct.pack('<cQ', kind, len(data)) + data)\n"
    f"def ready(): send(b'J', {READY.encode()!r})\n"
    "def read(): return sys.stdin.buffer.read(9 + struct.unpack('<cQ', sys.stdin.buffer.peek(9)[:9])[1])\n"
    "read()\n"
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.tflite"
    path.write_bytes(classifier())
    return path


@pytest.fixture
def taken_over(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Replace what children run, after they got the first message."""
    return lambda code: monkeypatch.setattr(process, "START", TALK + code)


def alive(pid: int) -> bool:
    """Return whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def children(pid: int | None = None) -> set[int]:
    """Return the children of a process, by default of this one."""
    return {child.pid for child in psutil.Process(pid).children()}


def test_isolated_model_gives_the_same_answers_as_one_in_this_process(tmp_path: Path) -> None:
    path = write_sealed(tmp_path / "m.tflite")
    isolated = Classifier.from_file(path, execution=UNTRUSTED)
    plain = Classifier.from_file(path)
    for seed in range(5):
        pixels = golden_pixels(seed)
        np.testing.assert_array_equal(
            isolated.classify_pixels(pixels).probabilities, plain.classify_pixels(pixels).probabilities
        )
    assert (isolated.input, isolated.output) == (plain.input, plain.output)


def test_isolated_model_of_several_outputs_gives_the_chosen_one(finished_files: dict[str, Path]) -> None:
    file, facts = ModelFile.read(finished_files["two_outputs"]), KINDS["two_outputs"].facts
    here, there = Classifier(file, facts), Classifier(file, facts, UNTRUSTED)
    answers = [each.classify_pixels(golden_pixels(1)).probabilities for each in (here, there)]
    assert (answers[0] == answers[1]).all()


def test_clones_of_an_isolated_model_run_side_by_side_in_a_child_each(model: Path) -> None:
    before = children()
    first = Classifier.from_file(model, LABELS, RAW, UNTRUSTED)
    team = [first, first.clone(), first.clone()]
    assert len(children() - before) == 3
    pixels = [golden_pixels(seed) for seed in range(20)]
    expected = [first.classify_pixels(each).best for each in pixels]
    with ThreadPoolExecutor(3) as pool:
        found = pool.map(lambda each: [each.classify_pixels(one).best for one in pixels], team)
        assert list(found) == [expected] * 3


def test_child_has_no_environment_no_open_files_no_core_dump_and_ignores_the_terminal(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    with (tmp_path / "private").open("w") as private:
        os.set_inheritable(private.fileno(), True)
        before = children()
        loaded = IsolatedModel(model, Execution())
        (pid,) = children() - before
        process = Path(f"/proc/{pid}")
        if not process.exists():
            pytest.skip("needs /proc")
        environment = (process / "environ").read_bytes()
        assert b"hunter2" not in environment and b"HOME=" not in environment
        targets = {str(entry.readlink()) for entry in (process / "fd").iterdir()}
        assert not any("private" in target for target in targets)
        limits = (process / "limits").read_text().splitlines()
        for name in ("Max core file size", "Max file size"):
            (line,) = (line for line in limits if line.startswith(name))
            assert line.removeprefix(name).split()[:2] == ["0", "0"]
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
        run_once(loaded)


def run_once(loaded: IsolatedModel) -> Any:
    loaded.set_tensor(0, np.zeros((1, SIDE, SIDE, 3), np.float32))
    loaded.invoke()
    return loaded.get_tensor(loaded.get_output_details()[0]["index"])


def test_child_ends_with_its_model_and_with_a_parent_that_is_killed(model: Path) -> None:
    before = children()
    loaded = IsolatedModel(model, Execution())
    (pid,) = children() - before
    assert alive(pid)
    del loaded
    wait_until(lambda: not alive(pid))
    code = (
        "import sys, time; from pathlib import Path\n"
        "from edge_classify.edge.isolation.parent import IsolatedModel\n"
        "from edge_classify.edge.runtime import Execution\n"
        "model = IsolatedModel(Path(sys.argv[1]), Execution())\n"
        "print('loaded', flush=True)\ntime.sleep(600)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, model], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    with other.stdout:
        assert other.stdout.readline() == "loaded\n"
        (pid,) = children(other.pid)
        assert alive(pid)
        other.kill()
        other.wait()
    wait_until(lambda: not alive(pid))


def test_child_that_listens_to_nobody_ends_with_a_parent_that_is_killed(model: Path) -> None:
    busy = (
        "from edge_classify.edge.isolation.child_pipes import claim_stdout\nclaim_stdout()\n"
        "import os, signal\nos.write(2, b'busy'); signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
        "while True: pass"
    )
    code = (
        "import sys; from edge_classify.edge.isolation import process\n"
        f"process.START = {busy!r}\n"
        "child = process.IsolatedProcess('child', 'interpreter', 1 << 30, 'a test')\n"
        "print(child._child.pid, child._child.stderr.read(4).decode(), flush=True)\n"
        "import time; time.sleep(600)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    with other.stdout:
        pid, said = other.stdout.readline().split()
        assert said == "busy" and alive(int(pid))
        other.kill()
        other.wait()
    wait_until(lambda: not alive(int(pid)))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("os.kill(os.getpid(), 11)", r"m\.tflite crashed the interpreter \(SIGSEGV\)\. It is damaged or"),
        ("os.abort()", r"crashed the interpreter \(SIGABRT\)"),
        ("os.kill(os.getpid(), 9)", r"\(SIGKILL, perhaps for lack of memory\)"),
        ("os.write(2, b'std::bad_alloc'); os.abort()", r"was stopped: it asked for more than \d+ MiB"),
        ("sys.exit('no such module')", r"process ended with exit status 1 \(no such module\)"),
        ("time.sleep(600)", r"was stopped: it took longer than 1 seconds to load"),
        ("os.write(1, os.urandom(500))", "send a broken message"),
        ("send(b'J', b'[' * 100000)", r"send a broken message \(it is nested deeper than 50 levels\)"),
        ("send(b'J', b'{}')", r"send a broken message \(inputs is missing\)"),
        ("os.write(1, struct.pack('<cQ', b'J', 2**62)); time.sleep(9)", r"broken message \(a message of 4,6"),
        ("os.write(1, struct.pack('<cQ', b'J', 1000))", r"process ended with exit status 0"),
        ("send(b'T', b'')", r"send a broken message \(message b'T' of 0 bytes\)"),
        ("os.close(0); time.sleep(600)", r"longer than 1 seconds to load"),
    ],
)  # fmt: skip
def test_child_that_dies_hangs_or_lies_while_loading_is_a_model_file_error(
    code: str, message: str, model: Path, taken_over: Callable[[str], None]
) -> None:
    taken_over(code)
    with pytest.raises(ModelFileError, match=message):
        IsolatedModel(model, Execution(), SHORT if "600" in code else PATIENT)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("os.kill(os.getpid(), 11)", r"crashed the interpreter \(SIGSEGV\)"),
        ("time.sleep(600)", r"longer than 1 seconds for an inference"),
        ("send(b'T', b'12345')", r"broken message \(5 bytes of 16\)"),
        ("send(b'T', bytes(17))", r"broken message \(message b'T' of 17 bytes\)"),
        ("os.write(1, struct.pack('<cQ', b'T', 2**40)); time.sleep(9)", r"broken message \(a message of 1,0"),
        ("send(b'E', b'{\"name\": \"SystemExit\", \"text\": \"I say so\"}')", "^I say so$"),
    ],
)  # fmt: skip
def test_child_that_dies_hangs_or_lies_while_running_is_the_same_error_from_then_on(
    code: str, message: str, model: Path, taken_over: Callable[[str], None]
) -> None:
    taken_over(f"ready()\nread()\n{code}")
    before = children()
    loaded = IsolatedModel(model, Execution(), Limits(invoke_s=1 if "600" in code else 60))
    (pid,) = children() - before
    with pytest.raises(EdgeClassifyError, match=message):
        run_once(loaded)
    with pytest.raises(ModelFileError, match=message):
        run_once(loaded)
    assert not alive(pid)


def test_child_that_answers_no_numbers_is_refused(model: Path, taken_over: Callable[[str], None]) -> None:
    taken_over("ready()\nread()\nsend(b'T', struct.pack('<4f', 0, 1, float('nan'), 0))\nread()")
    isolated = Classifier.from_file(model, LABELS, RAW, UNTRUSTED)
    with pytest.raises(ModelFileError, match="values that are no numbers"):
        isolated.classify_pixels(golden_pixels(0))


def test_child_that_reads_nothing_is_stopped_although_the_input_fills_the_pipe(
    tmp_path: Path, taken_over: Callable[[str], None]
) -> None:
    image = TensorDetails(0, [1, 999, 999, 3], [], "int8", 0.0, 0)
    large = json.dumps(json.loads(READY) | {"inputs": [vars(image)]})
    taken_over(f"send(b'J', {large.encode()!r})\ntime.sleep(600)")
    path = tmp_path / "m.tflite"
    path.write_bytes(classifier())
    loaded = IsolatedModel(path, Execution(), Limits(invoke_s=1))
    loaded.set_tensor(0, np.zeros((1, 999, 999, 3), np.int8))
    with pytest.raises(ModelFileError, match="longer than 1 seconds"):
        loaded.invoke()


def test_model_that_asks_for_more_memory_than_it_may_is_refused_here_and_stays_there(tmp_path: Path) -> None:
    build = TinyModel()
    image = build.tensor("image", (1, SIDE, SIDE, 3))
    times = build.tensor("times", (4,), [1, 8000, 8000, 1], "int32")
    huge, mean = build.tensor("huge", (1, 64000, 64000, 3)), build.tensor("mean", (1, 3))
    axes = build.tensor("axes", (2,), [1, 2], "int32")
    build.operator("TILE", [image, times], [huge], schema.TileOptionsT())
    build.operator("MEAN", [huge, axes], [mean], schema.ReducerOptionsT())
    path = tmp_path / "huge.tflite"
    path.write_bytes(build.pack([image], [mean]))
    with pytest.raises(ModelFileError, match=r"huge\.tflite"):
        run_once(IsolatedModel(path, Execution()))


def test_model_that_the_runtime_refuses_says_why_as_without_isolation(tmp_path: Path) -> None:
    path = tmp_path / "custom.tflite"
    path.write_bytes(classifier("Nobody's"))
    messages = []
    for opened in (open_interpreter, open_isolated):
        with pytest.raises(ModelFileError) as error:
            opened(path, Execution())
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    assert "Nobody's" in messages[0]


def test_threads_that_start_children_may_end_before_them(model: Path) -> None:
    made: list[IsolatedModel] = []
    thread = threading.Thread(target=lambda: made.append(IsolatedModel(model, Execution())))
    thread.start()
    thread.join()
    assert run_once(made[0]).shape == (1, 4)


SIDES = st.lists(st.integers(-(2**40), 2**40) | st.integers(1, 500), max_size=10)


@given(st.integers(), SIDES, SIDES, st.sampled_from(["float32", "uint8", "object", "O", "V9", "x" * 99]))
def test_tensor_that_a_child_makes_up_is_refused_or_of_a_bounded_size(
    index: int, shape: list[int], signature: list[int], dtype: str
) -> None:
    try:
        tensor = TensorDetails(index, shape, signature, dtype, 0.0, 0)
        size = tensor.size_bytes
    except BrokenMessageError:
        return
    assert 0 <= size <= MAX_TENSOR_BYTES
    assert tensor.to_details()["dtype"] in (np.float32, np.uint8)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["inputs", "outputs", "remarks", "name", "text", "shape"]), inner)
    ),
)


@given(JSON.map(json.dumps).map(str.encode) | st.binary(max_size=200))
def test_messages_of_any_content_are_read_or_refused(raw: bytes) -> None:
    assert len(raw) < MAX_JSON_BYTES
    for parse in (parse_ready, parse_failure):
        try:
            parse(raw)
        except BrokenMessageError:
            continue
