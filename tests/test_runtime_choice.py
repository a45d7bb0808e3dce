"""Which runtime is loaded, and what is said where none can be; threads chosen by measuring."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from edge_classify.edge.classifier import Classifier, Prediction
from edge_classify.edge.errors import (
    MissingPackageError,
    ModelFileError,
    NoPackageError,
    OptionError,
    RuntimeLoadError,
)
from edge_classify.edge.modelfile import Normalization
from edge_classify.edge.runtime import MAX_THREADS, RUNTIMES, Execution, find_runtime, open_interpreter
from edge_classify.edge.runtime_packages import PythonBuild
from edge_classify.edge.threads import Parallelism, choose_parallelism, choose_threads, pick
from hypothesis import given
from hypothesis import strategies as st

from .support.tiny_model import LABELS, classifier

RAW = Normalization((0.0,), (1.0,))


Packages = Callable[..., None]
WORKING = "def Interpreter(**options): raise ValueError('no model')"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packages:
    """Return what lays packages under the runtimes' names: their code, or None for none."""
    monkeypatch.syspath_prepend(tmp_path)

    def lay(litert: str | None = None, old: str | None = None, tensorflow: str | None = None) -> None:
        for name, code in zip(RUNTIMES, (litert, old, tensorflow), strict=True):
            package = f"fake_{tmp_path.name}_{name.replace('-', '_')}"
            monkeypatch.setitem(RUNTIMES, name, f"{package}.interpreter")
            if code is not None:
                (tmp_path / package).mkdir()
                (tmp_path / package / "interpreter.py").write_text(code)

    return lay


def test_runtimes_are_preferred_in_their_order(packages: Packages) -> None:
    packages(old=WORKING, tensorflow=WORKING)
    found = find_runtime()
    assert (found.name, found.broken) == ("tflite-runtime", ())
    assert "tflite_runtime" in found.module.__name__
    assert "tensorflow" in find_runtime("tensorflow").module.__name__


def test_runtime_that_is_broken_is_passed_over_with_its_reason(
    packages: Packages,
) -> None:
    packages(litert="raise OSError('libfoo.so: bad ELF\\nheader')", old=WORKING)
    found = find_runtime()
    assert found.name == "tflite-runtime"
    (reason,) = found.broken
    assert "ai-edge-litert is installed and cannot be loaded (libfoo.so: bad ELF header)" in reason
    with pytest.raises(
        RuntimeLoadError, match=r"bad ELF header\); try: pip install --force-reinstall ai-edge"
    ):
        find_runtime("ai-edge-litert")


def test_runtime_that_breaks_only_when_it_is_used_says_why(packages: Packages, tmp_path: Path) -> None:
    # So does tflite-runtime 2.14 under numpy 2.
    cause = "ImportError('numpy.core.multiarray failed to import')"
    packages(old=f"def Interpreter(**o): raise SystemError('an exception set') from {cause}")
    path = tmp_path / "m.tflite"
    path.write_bytes(classifier())
    with pytest.raises(RuntimeLoadError, match=r'cannot be loaded \(numpy\.core.*pip install "numpy<2"'):
        open_interpreter(path, Execution())


def test_untrusted_model_is_not_opened_in_this_process(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="open_isolated"):
        open_interpreter(tmp_path / "m.tflite", Execution(untrusted=True))


def test_runtimes_that_are_all_broken_are_listed_with_their_reasons(
    packages: Packages,
) -> None:
    numpy_2 = "raise ImportError('numpy.core.multiarray failed to import')"
    packages(old=numpy_2, tensorflow="import nothing_at_all")
    with pytest.raises(RuntimeLoadError) as error:
        find_runtime()
    assert "tflite-runtime is installed and cannot be loaded (numpy.core.multiarray failed" in str(
        error.value
    )
    assert 'pip install "numpy<2"' in str(error.value)
    assert "tensorflow is installed and cannot be loaded (No module named 'nothing_at_all')" in str(
        error.value
    )


@pytest.mark.parametrize(
    ("python", "name", "error", "said"),
    [
        (
            (64, "x86_64", (3, 14)),
            None,
            MissingPackageError,
            r'Running a model needs.*install "ai-edge-litert"',
        ),
        (
            (32, "armv7l", (3, 11)),
            None,
            MissingPackageError,
            r'Running a model needs.*install "tflite-runtime"',
        ),
        ((32, "aarch64", (3, 11)), None, MissingPackageError, 'install "tflite-runtime"'),
        (
            (32, "armv7l", (3, 13)),
            None,
            NoPackageError,
            "32-bit Python 3.13 on armv7l.*Use the 64-bit Raspberry",
        ),
        (
            (32, "aarch64", (3, 13)),
            None,
            NoPackageError,
            "Use the 64-bit Raspberry Pi OS, or the 32-bit one of",
        ),
        ((32, "i686", (3, 11)), None, NoPackageError, "Use a 64-bit system"),
        (
            (64, "aarch64", (3, 11)),
            "tflite-runtime",
            MissingPackageError,
            '--runtime tflite.*"tflite-runtime"',
        ),
        ((64, "aarch64", (3, 13)), "tflite-runtime", NoPackageError, "3.11 and older. Use ai-edge-litert"),
        ((32, "armv7l", (3, 11)), "ai-edge-litert", NoPackageError, "32-bit Python.*Use tflite-runtime"),
    ],
)
def test_runtime_that_is_missing_is_named_with_a_remedy_that_this_python_can_follow(
    python: tuple[int, str, tuple[int, int]],
    name: str | None,
    error: type[MissingPackageError],
    said: str,
    packages: Packages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packages()
    monkeypatch.setattr(PythonBuild, "here", lambda: PythonBuild(*python))
    with pytest.raises(MissingPackageError, match=said) as caught:
        find_runtime(name)
    assert type(caught.value) is error


def test_runtime_that_is_unknown_is_refused() -> None:
    with pytest.raises(
        OptionError, match=r"one of: ai-edge-litert, tflite-runtime, tensorflow\. Received: onnx"
    ):
        Execution(runtime="onnx")


@pytest.mark.slow
def test_tensorflow_as_the_runtime_gives_the_answer(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    assert answer_of("tensorflow", tmp_path) == "tensorflow green"


def test_litert_as_the_runtime_gives_the_answer(tmp_path: Path) -> None:
    assert answer_of("ai-edge-litert", tmp_path) == "ai-edge-litert green"


def answer_of(runtime: str, folder: Path) -> str:
    """Return the runtime and the label that a process of its own has for a green picture."""
    path = folder / "m.tflite"
    path.write_bytes(classifier())
    code = (
        "import sys, numpy as np\n"
        "from edge_classify.edge.classifier import Classifier\n"
        "from edge_classify.edge.modelfile import Normalization\n"
        "from edge_classify.edge.runtime import Execution\n"
        "raw = Normalization((0.0,), (1.0,))\n"
        "c = Classifier.from_file(sys.argv[1], None, raw, Execution(runtime=sys.argv[2]))\n"
        "pixels = np.zeros((8, 8, 3), np.uint8)\n"
        "pixels[:, :, 1] = 200\n"
        "module = type(c._interpreter).__module__.split('.')[0].replace('_', '-')\n"
        f"print(module, {LABELS!r}[c.classify_pixels(pixels).best.index])"
    )
    command = [sys.executable, "-c", code, str(path), runtime]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_execution_that_can_never_work_is_refused() -> None:
    for options, message in (
        ({"threads": 0}, f"threads must be 1 to {MAX_THREADS}. Received: 0"),
        ({"threads": MAX_THREADS + 1}, "Received: 257"),
        ({"delegate_fallback": True}, "delegate_fallback goes with delegate"),
        ({"delegate_options": (("a", "b"),)}, "delegate_options goes with delegate"),
    ):
        with pytest.raises(OptionError, match=message):
            Execution(**options)


def test_remark_about_a_broken_runtime_reaches_the_classifiers_user(
    packages: Packages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RUNTIMES["ai-edge-litert"]
    packages(litert="raise ImportError('wrong architecture')")
    monkeypatch.setitem(RUNTIMES, "tensorflow", real)
    path = tmp_path / "m.tflite"
    path.write_bytes(classifier())
    (remark,) = Classifier.from_file(path, LABELS, RAW).remarks
    assert "ai-edge-litert is installed and cannot be loaded (wrong architecture)" in remark


def test_loading_a_model_by_the_plain_path_imports_nothing_that_is_slow_to_import(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(classifier())
    heavy = ("importlib.metadata", "tempfile", "subprocess", "concurrent.futures", "email", "logging", "ssl")
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from edge_classify.edge import runtime, classifier, labels, isolation\n"
        f"print([name for name in {heavy!r} if name in sys.modules])\n"
        "runtime.open_interpreter(Path(sys.argv[1]), runtime.Execution())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Machine:
    """Cores with a neighbour: an inference takes 12 ms divided by the speed that its threads have."""

    def __init__(self, speed: Callable[[int, int], float]) -> None:
        self.now = 0.0
        self.speed = speed
        self.lock = threading.Lock()
        self.made: list[int] = []

    def clock(self) -> float:
        return self.now


class FakeClassifier:
    """Lets a machine's clock run on instead of computing; counts as a share of a team's work."""

    def __init__(self, machine: Machine, threads: int) -> None:
        self.machine, self.threads = machine, threads
        self.spec = type("Spec", (), {"height": 2, "width": 2})()
        machine.made.append(threads)

    def clone(self) -> FakeClassifier:
        return FakeClassifier(self.machine, self.threads)

    def classify_pixels(self, pixels: object) -> None:
        with self.machine.lock:
            self.machine.now += 0.012 / self.machine.speed(1, self.threads)


@pytest.mark.parametrize(("speed_of_two", "chosen"), [(1.8, 2), (1.11, 2), (1.05, 1), (0.5, 1)])
def test_threads_are_added_only_where_they_are_faster_by_a_tenth(speed_of_two: float, chosen: int) -> None:
    machine = Machine(lambda workers, threads: speed_of_two if threads == 2 else 1.0)
    choice = choose_threads(lambda n: FakeClassifier(machine, n), 2, machine.clock)  # type: ignore[arg-type, return-value]
    assert choice.chosen == Parallelism(1, chosen)
    assert machine.made == [1, 2]
    assert f"{chosen} thread" in choice.describe()
    assert f"1 thread: {1 / 0.012:.0f}" in choice.describe()


def test_one_core_is_not_measured() -> None:
    machine = Machine(lambda workers, threads: 1.0)
    choice = choose_threads(lambda n: FakeClassifier(machine, n), 1, machine.clock)  # type: ignore[arg-type, return-value]
    assert (choice.chosen, choice.rates) == (Parallelism(1, 1), ())


def test_parallelism_of_a_real_model_is_measured_for_one_worker_up_to_one_a_core(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(classifier())
    choice = choose_parallelism(lambda n: Classifier.from_file(path, LABELS, RAW, Execution(threads=n)), 3)
    assert [size for size, _ in choice.rates] == [Parallelism(workers, 1) for workers in (1, 2, 3)]
    assert all(rate > 0 for _, rate in choice.rates)
    assert choice.chosen in [size for size, _ in choice.rates]


def test_model_that_fails_while_it_is_measured_is_an_error_and_no_trace_of_a_thread(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Classifier, pixels: object, top: int = 3) -> Prediction:
        raise ModelFileError("it gives no numbers")

    path = tmp_path / "m.tflite"
    path.write_bytes(classifier())
    monkeypatch.setattr(Classifier, "classify_pixels", fail)
    with pytest.raises(ModelFileError, match="no numbers"):
        choose_parallelism(lambda n: Classifier.from_file(path, LABELS, RAW), 2)
    assert capfd.readouterr().err == ""


@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=6))
def test_choice_is_worth_it_and_nothing_above_it_is_much_faster(rates: Sequence[float]) -> None:
    sizes = [Parallelism(2**power, 1) for power in range(len(rates))]
    chosen = pick(list(zip(sizes, rates, strict=True)))
    place = sizes.index(chosen)
    assert all(rates[place] >= rates[simpler] for simpler in range(place)) or place == 0
    assert all(rate < rates[place] * 1.1 for rate in rates[place + 1 :])


def test_opened_interpreter_has_no_remarks_where_all_is_well(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(classifier())
    assert open_interpreter(path, Execution()).remarks == ()
