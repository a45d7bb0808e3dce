"""Real workers with the real interpreter: turns, failures, interruptions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from edge_classify.benchmarks.measuring import pacing, process, soak, turns
from edge_classify.benchmarks.measuring.messages import Block
from edge_classify.benchmarks.measuring.plan import CheckedModel, ModelRun, Plan
from edge_classify.benchmarks.measuring.process import Worker
from edge_classify.benchmarks.measuring.turns import MeasuringInterrupted, measure, steps
from edge_classify.benchmarks.measuring.yardstick import YARDSTICK
from edge_classify.benchmarks.results.result import Failure, Result
from edge_classify.edge.classifier import DEFAULT_EXECUTION
from edge_classify.edge.processes import python_command
from edge_classify.edge.runtime import Execution

from .support.tiny_model import classifier

Log = list[tuple[int, str]]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_PATIENCE_S", (0.1, 0.1))


@pytest.fixture
def models(tmp_path: Path) -> tuple[ModelRun, ...]:
    """Three small models: a, b and c."""
    return tuple(model_run(write_model(tmp_path / f"{name}.tflite")) for name in "abc")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """Record whose turn it is, by process and file."""
    entries: Log = []
    time_runs = Worker.time_runs

    def logged(worker: Worker, runs: int, expected_ms: float) -> Block:
        entries.append((worker.pid, worker.model_run.path.stem))
        return time_runs(worker, runs, expected_ms)

    monkeypatch.setattr(Worker, "time_runs", logged)
    return entries


@pytest.fixture
def before_turns(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[Worker], None]], None]:
    """Do something to a model's worker right before each of its turns."""
    time_runs = Worker.time_runs

    def install(name: str, action: Callable[[Worker], None]) -> None:
        def acted(worker: Worker, runs: int, expected_ms: float) -> Block:
            if worker.model_run.path.stem == name:
                action(worker)
            return time_runs(worker, runs, expected_ms)

        monkeypatch.setattr(Worker, "time_runs", acted)

    return install


def write_model(path: Path) -> Path:
    path.write_bytes(classifier())
    return path


def model_run(path: Path, execution: Execution = DEFAULT_EXECUTION) -> ModelRun:
    return ModelRun(CheckedModel.read(path), execution)


def run(plan: Plan) -> list[Result | Failure]:
    return measure(plan, lambda count=1, note="": None)


def measured(found: Sequence[Result | Failure | None]) -> list[Result]:
    results = [item for item in found if isinstance(item, Result)]
    assert len(results) == len(found)
    return results


def failed(found: Sequence[Result | Failure]) -> list[Failure]:
    return [item for item in found if isinstance(item, Failure)]


def test_models_with_a_number_of_runs_are_timed_exactly_so_often_in_as_many_processes(
    models: tuple[ModelRun, ...],
) -> None:
    counted = []
    plan = Plan(models[:2], runs=50, processes=2)
    first, second = measured(measure(plan, lambda count=1, note="": counted.append(count)))
    assert sum(counted) == steps(plan) == 4
    for found in (first, second):
        latency = found.latency
        assert (latency.runs, latency.processes, len(latency.blocks)) == (50, 2, 2)
        assert 0 < latency.median_ms <= latency.p90_ms <= latency.p95_ms <= latency.p99_ms <= latency.max_ms
        assert latency.median_ci95[0] <= latency.median_ms <= latency.median_ci95[1]
        assert latency.load_ms > 0 and latency.first_ms > 0 and latency.warm_up_runs > 0
        assert found.subject.runtime.startswith("ai-edge-litert 2.")
        assert found.memory is not None and 20 < found.memory.loaded <= found.memory.peak < 500
    assert first.ratio is None
    assert second.ratio is not None and second.ratio.base == str(models[0].path)
    assert second.ratio.lowest <= second.ratio.median <= second.ratio.highest
    # The yardstick is a real network, and these have five small layers.
    assert second.yardstick is not None and second.yardstick.ratio < 1
    assert [len(blocks) for blocks in second.yardstick.blocks] == [len(b) for b in second.latency.blocks]


def test_models_without_a_number_of_runs_are_timed_until_enough_is_known(
    models: tuple[ModelRun, ...],
) -> None:
    (found,) = measured(run(Plan(models[:1], processes=2, yardstick=False)))
    assert found.latency.runs >= 100
    assert min(map(len, found.latency.blocks)) >= 5
    assert found.yardstick is None


def test_models_take_turns_in_an_order_that_changes_and_is_the_same_next_time(
    models: tuple[ModelRun, ...], log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "BLOCK_MS", 0.001)

    def orders() -> list[str]:
        log.clear()
        run(Plan(models, runs=60, processes=1, yardstick=False))
        names = "".join(name for _, name in log)
        return [names[start : start + 3] for start in range(0, len(names), 3)]

    first = orders()
    assert len(first) == 60 / pacing.BLOCK_RUNS
    assert all(sorted(order) == ["a", "b", "c"] for order in first)
    assert len(set(first)) >= 3
    assert first == orders()


def test_one_process_of_each_model_runs_at_a_time(models: tuple[ModelRun, ...], log: Log) -> None:
    run(Plan(models[:2], runs=20, processes=2, yardstick=False))
    pids = [pid for pid, name in log if name == "a"]
    assert len(set(pids)) == 2
    assert pids == sorted(pids, key=pids.index)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_model_whose_worker_is_killed_fails_and_the_others_go_on(
    models: tuple[ModelRun, ...], before_turns: Callable[[str, Callable[[Worker], None]], None]
) -> None:
    before_turns("b", lambda worker: os.kill(worker.pid, signal.SIGKILL))
    found = run(Plan(models, runs=20, processes=1))
    (error,) = failed(found)
    assert "b.tflite" in error.error and "SIGKILL" in error.error and "memory" in error.error
    assert [item.file for item in found] == [str(model.path) for model in models]


def test_base_that_fails_leaves_the_others_without_a_ratio_and_says_so(
    models: tuple[ModelRun, ...], before_turns: Callable[[str, Callable[[Worker], None]], None]
) -> None:
    before_turns("a", lambda worker: os.kill(worker.pid, signal.SIGABRT))
    found = run(Plan(models[:2], runs=20, processes=2, yardstick=False))
    (other,) = [item for item in found if isinstance(item, Result)]
    assert other.ratio is None
    assert any("base" in remark and "SIGABRT" in remark for remark in other.remarks)


def test_model_that_hangs_is_stopped(
    models: tuple[ModelRun, ...],
    before_turns: Callable[[str, Callable[[Worker], None]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hang(worker: Worker) -> None:
        monkeypatch.setattr(process, "HANGS_AFTER_S", 0.5)
        os.kill(worker.pid, signal.SIGSTOP)

    before_turns("a", hang)
    (error,) = failed(run(Plan(models[:1], runs=20, yardstick=False)))
    assert "a.tflite" in error.error and "no answer" in error.error


@pytest.mark.parametrize("content", [b"", b"\x1c\0\0\0TFL3" + b"\xff" * 64])
def test_file_that_is_no_model_fails_with_a_sentence_that_names_it(
    tmp_path: Path, models: tuple[ModelRun, ...], content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read before, and replaced by another program since."""
    monkeypatch.chdir(tmp_path)
    bad = model_run(write_model(Path("bad.tflite")))
    bad.path.write_bytes(content)
    (error,) = failed(run(Plan((bad, models[0]), runs=10, processes=2)))
    assert error.error.startswith("bad.tflite")
    assert "Traceback" not in error.error and "\n" not in error.error


def test_runtime_that_is_not_installed_fails_with_the_command_that_installs_it(
    models: tuple[ModelRun, ...],
) -> None:
    without = replace(models[0], execution=Execution(runtime="tflite-runtime"))
    (error,) = failed(run(Plan((without,), runs=10)))
    assert "pip install" in error.error


def test_delegate_that_cannot_be_had_fails_or_is_a_remark_as_was_asked(models: tuple[ModelRun, ...]) -> None:
    given = Execution(delegate="/nowhere/lib.so", delegate_options=(("key", "value"),))
    executions = given, replace(given, delegate_fallback=True)
    error, found = run(Plan(tuple(replace(models[0], execution=how) for how in executions), runs=10))
    assert isinstance(error, Failure) and "/nowhere/lib.so" in error.error
    assert isinstance(found, Result)
    assert any("CPU instead" in remark for remark in found.remarks)


def test_garbage_on_stdout_disturbs_nothing(
    models: tuple[ModelRun, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when Python's start prints something, and a runtime's thread keeps on printing."""
    chatter = (
        "import os, sys, threading, time\n"
        "os.write(1, b'Welcome!\\n[1]\\n')\n"
        "def talk():\n    while True: os.write(1, b'{\"error\": 1}\\n'); time.sleep(0.001)\n"
        "def late():\n"
        "    while 'ai_edge_litert.interpreter' not in sys.modules: time.sleep(0.001)\n"
        "    talk()\n"
        "threading.Thread(target=late, daemon=True).start()\n"
    )
    monkeypatch.setattr(process, "python_command", lambda code: python_command(chatter + code))
    (found,) = measured(run(Plan(models[:1], runs=20, processes=1, yardstick=False)))
    assert found.latency.runs == 20


def test_users_modules_in_the_working_folder_are_not_imported(
    tmp_path: Path, models: tuple[ModelRun, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('mine')")
    monkeypatch.chdir(tmp_path)
    assert measured(run(Plan(models[:1], runs=5, processes=1, yardstick=False)))


def test_models_that_memory_is_too_short_for_are_measured_in_groups_each_with_the_base(
    models: tuple[ModelRun, ...], log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "available_mb", lambda: 1.0)
    found = measured(run(Plan(models, runs=20, processes=1)))
    assert [item.latency.runs for item in found] == [20, 20, 20]
    assert found[0].ratio is None
    assert all(item.ratio is not None and item.yardstick is not None for item in found[1:])
    pids = {name: {pid for pid, other in log if other == name} for _, name in log}
    assert {name: len(found) for name, found in pids.items()} == {
        "a": 3, "b": 1, "c": 1, YARDSTICK.stem: 3
    }  # fmt: skip


def test_measurement_that_is_interrupted_keeps_those_that_had_a_turn(
    models: tuple[ModelRun, ...], before_turns: Callable[[str, Callable[[Worker], None]], None]
) -> None:
    pids = []

    def interrupt(worker: Worker) -> None:
        pids.append(worker.pid)
        raise KeyboardInterrupt

    before_turns("c", interrupt)
    with pytest.raises(MeasuringInterrupted) as stop:
        run(Plan(models, runs=100_000, processes=1))
    assert len(stop.value.results) == 3 and stop.value.results[2] is None
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_ctrl_c_in_a_terminal_ends_with_what_was_measured(models: tuple[ModelRun, ...]) -> None:
    """The terminal sends it to the whole group: workers too."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from edge_classify.benchmarks.measuring.plan import CheckedModel, ModelRun, Plan\n"
        "from edge_classify.benchmarks.measuring.turns import MeasuringInterrupted, measure\n"
        "from edge_classify.edge.runtime import Execution\n"
        "def tell(count=1, note=''): print(note, flush=True)\n"
        "model = CheckedModel.read(Path(sys.argv[1]))\n"
        "plan = Plan((ModelRun(model, Execution()),), runs=10**7, yardstick=False)\n"
        "try:\n"
        "    measure(plan, tell)\n"
        "except MeasuringInterrupted as stop:\n"
        "    print('interrupted', stop.results[0].latency.runs > 0)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(models[0].path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline().startswith("round 1")
        os.killpg(child.pid, signal.SIGINT)
        output, errors = child.communicate(timeout=60)
    assert output.splitlines()[-1] == "interrupted True"
    assert errors == ""


def test_worker_leaves_ctrl_c_to_its_parent(
    models: tuple[ModelRun, ...], before_turns: Callable[[str, Callable[[Worker], None]], None]
) -> None:
    before_turns("a", lambda worker: os.kill(worker.pid, signal.SIGINT))
    assert measured(run(Plan(models[:1], runs=20, processes=1, yardstick=False)))


def test_worker_ends_when_its_parent_is_killed(models: tuple[ModelRun, ...]) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from edge_classify.benchmarks.measuring.plan import CheckedModel, ModelRun\n"
        "from edge_classify.benchmarks.measuring.process import Worker\n"
        "from edge_classify.edge.runtime import Execution\n"
        "worker = Worker(ModelRun(CheckedModel.read(Path(sys.argv[1])), Execution()))\n"
        "worker.started()\n"
        "print(worker.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(models[0].path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    with suppress(psutil.NoSuchProcess):
        worker.wait(30)
    assert not worker.is_running()


def test_soak_has_a_point_for_each_stretch_and_follows_the_turns(
    models: tuple[ModelRun, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "_POINT_S", 0.2)
    counted = []
    plan = Plan(models[:2], runs=10, processes=1, yardstick=False, soak_minutes=0.02)
    results = measured(measure(plan, lambda count=1, note="": counted.append(count)))
    assert sum(counted) == steps(plan) == 2 + 2 * 6
    for found in results:
        assert found.soak is not None
        seconds = [point.seconds for point in found.soak.points]
        assert 1 <= len(seconds) <= 6  # A busy machine leaves some out.
        assert seconds == sorted(seconds) and seconds[-1] >= 1.2
        assert all(0 < point.median_ms <= point.p99_ms for point in found.soak.points)


def test_soak_that_is_interrupted_keeps_its_points(
    models: tuple[ModelRun, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "_POINT_S", 0.2)
    stretches = []
    time_for = Worker.time_for

    def third_is_the_last(worker: Worker, seconds: float) -> Block:
        stretches.append(seconds)
        if len(stretches) == 4:
            raise KeyboardInterrupt
        return time_for(worker, seconds)

    monkeypatch.setattr(Worker, "time_for", third_is_the_last)
    with pytest.raises(MeasuringInterrupted) as stop:
        run(Plan(models[:2], runs=10, processes=1, yardstick=False, soak_minutes=10 / 60))
    first, second = measured(stop.value.results)
    assert first.soak is not None and len(first.soak.points) == 3
    assert second.soak is None


def test_soak_whose_worker_dies_keeps_its_points_and_says_why(
    models: tuple[ModelRun, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "_POINT_S", 0.2)
    time_for = Worker.time_for

    def kill_after_one(worker: Worker, seconds: float) -> Block:
        block = time_for(worker, seconds)
        os.kill(worker.pid, signal.SIGKILL)
        time.sleep(0.1)
        return block

    monkeypatch.setattr(Worker, "time_for", kill_after_one)
    (found,) = measured(run(Plan(models[:1], runs=10, processes=1, yardstick=False, soak_minutes=0.02)))
    assert found.soak is not None and len(found.soak.points) == 1
    assert any("soak" in remark and "SIGKILL" in remark for remark in found.remarks)


def test_threads_are_handed_on_and_the_yardstick_has_as_many(models: tuple[ModelRun, ...], log: Log) -> None:
    executions = Execution(threads=1), Execution(threads=2)
    plan = Plan(tuple(replace(models[0], execution=how) for how in executions), runs=10, processes=1)
    found = measured(run(plan))
    assert [item.execution for item in found] == list(executions)
    assert all(item.yardstick is not None for item in found)
    assert len({pid for pid, name in log if name == YARDSTICK.stem}) == 2
