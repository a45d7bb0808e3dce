"""All child processes are started in one place; nothing of the working folder runs, and nothing is left."""

from __future__ import annotations

import ast
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from edge_classify.edge.processes import (
    Process,
    child_environment,
    find_program,
    python_command,
    run,
)
from edge_classify.edge.search_paths import import_path

from .support import tiny_model
from .support.pictures import make_picture
from .support.source_tree import ROOT, read_modules
from .support.waiting import wait_until

# Where processes may be started: here, and in the code that is sent to devices, where the first one is not.
STARTERS = {"edge.processes", "benchmarks.devices.far.programs"}
MODULES = {"subprocess", "multiprocessing", "pty", "popen2", "_posixsubprocess", "webbrowser"}
CALLS = {
    "system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp", "startfile",
}  # fmt: skip
ELSEWHERE = {"ProcessPoolExecutor", "create_subprocess_exec", "create_subprocess_shell"}
PLATFORM = {"processor", "uname", "architecture"}  # They run uname and file, wherever PATH leads.


def _starts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = {alias.name for alias in node.names}
            if str(node.module).partition(".")[0] in MODULES or names & (CALLS - {"system"} | ELSEWHERE):
                yield str(node.module)
        elif isinstance(node, ast.Attribute):
            whose = node.value.id if isinstance(node.value, ast.Name) else ""
            of_os = whose == "os" and (node.attr in CALLS or node.attr.startswith(("exec", "spawn")))
            if of_os or node.attr in ELSEWHERE:
                yield f"{whose}.{node.attr}"
            if (whose, node.attr) == ("shutil", "which") or (whose == "platform" and node.attr in PLATFORM):
                yield f"{whose}.{node.attr}"


def test_processes_are_started_in_one_place_alone() -> None:
    modules = read_modules("train", "convert", "benchmarks", "edge")
    found = {
        f"{module.shown} uses {what}"
        for name, module in modules.items()
        if name not in STARTERS
        for what in _starts(module.tree)
    }
    # What a unit shall run is the program that was typed.
    assert found == {"edge/service/install.py uses shutil.which"}
    assert all(list(_starts(modules[name].tree)) for name in STARTERS)


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of somebody else's, which is the working folder: what runs of it leaves a file `ran`."""
    folder, ran = tmp_path / "from somebody", tmp_path / "ran"
    folder.mkdir()
    names = (
        "numpy", "h5py", "cv2", "json", "PIL", "click", "dacite", "flatbuffers", "ai_edge_litert",
        "tflite_runtime", "psutil", "struct", "signal", "site", "sitecustomize", "usercustomize", "encodings",
        "picamera2", "tensorflow", "keras", "rich", "threading", "edge_classify",
    )  # fmt: skip
    for name in names:
        (folder / f"{name}.py").write_text(
            f"open({str(ran)!r}, 'a').write({name!r} + '\\n')\nraise SystemExit('{name} was imported')\n"
        )
    (folder / "matplotlib").mkdir()
    (folder / "matplotlib" / "__init__.py").write_text((folder / "numpy.py").read_text())
    for name in ("git", "vcgencmd", "uname", "adb", "ssh", "python", "python3", "sh", "gcc"):
        program = folder / name
        program.write_text(f"#!/bin/sh\necho {name} >>{shlex.quote(str(ran))}\nexit 1\n")
        program.chmod(0o755)
    monkeypatch.chdir(folder)
    return ran


def _command(folder: Path, package: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command as its console script does, where PATH and PYTHONPATH have empty entries."""
    script = folder / f"edge-{package}"
    script.write_text(f"from edge_classify.{package}.__main__ import main\nmain()\n")
    environment = {
        **os.environ,
        "PATH": f":{os.environ['PATH']}:.",
        "PYTHONPATH": f"{ROOT / 'tests' / '.ns'}",
        "PYTHONSTARTUP": "numpy.py",
    }
    return subprocess.run(
        [sys.executable, script, *arguments], env=environment, capture_output=True, text=True, check=False
    )


def _hdf5_model(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "3.0.0"
        file.attrs["model_config"] = "{}"


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("edge", ["--doctor"]),
        ("edge", ["--self-check", "{model}"]),
        ("edge", ["--untrusted", "--model", "{model}", "{photo}"]),
        ("edge", ["--show", "--model", "{model}", "{photo}"]),
        ("benchmarks", ["{model}", "--runs", "2"]),
        ("benchmarks", ["{model}", "--runs", "2", "--stages", "--data", "{data}"]),
        ("benchmarks", ["{model}", "--runs", "2", "--by-operation"]),
        ("benchmarks", ["{model}", "--on", "adb"]),
        ("benchmarks", ["{model}", "--on", "nobody.invalid"]),
        ("convert", ["--inspect", "{model}"]),
        ("convert", ["{hdf5}", "-o", "{output}"]),
        ("train", ["--help"]),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_nothing_in_the_working_folder_runs_whatever_the_command(
    package: str, arguments: list[str], trap: Path, tmp_path: Path
) -> None:
    places = {
        "model": tiny_model.write_sealed(tmp_path / "m.tflite"), "photo": tmp_path / "photo.jpg",
        "hdf5": tmp_path / "model.h5", "output": tmp_path / "out", "data": tmp_path / "data",
    }  # fmt: skip
    make_picture("red disc", 1).save(places["photo"])
    for label in tiny_model.LABELS:
        (tmp_path / "data" / label).mkdir(parents=True)
        make_picture("red disc", 2).save(tmp_path / "data" / label / "1.jpg")
    _hdf5_model(places["hdf5"])
    done = _command(tmp_path, package, *(text.format(**places) for text in arguments))
    assert "was imported" not in done.stdout + done.stderr
    assert not trap.exists(), trap.read_text()
    assert "Traceback" not in done.stderr and "No such option" not in done.stderr
    assert "unexpected extra" not in done.stderr


def test_entries_of_the_import_path_that_mean_the_working_folder_reach_no_child(
    trap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = os.getcwd()  # noqa: PTH109
    link = trap.with_name("link")
    link.symlink_to(here)
    for entry in ("", ".", here, str(link), "relative"):
        monkeypatch.setattr(sys, "path", [entry, *sys.path])
    done = run(python_command("import json, numpy, struct; print(sys.path)"), 60)
    assert done.status == 0, done.errors
    assert here not in ast.literal_eval(done.output.decode())
    assert not trap.exists()


def test_folders_that_the_user_named_stay_on_the_import_path_of_children_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = tmp_path / 'it\'s \\ "a" folder \udcff'
    strange.mkdir()
    (strange / "mine.py").write_text("name = 'mine'")
    monkeypatch.syspath_prepend(str(strange))
    assert import_path()[0] == str(strange)
    done = run(
        python_command("import mine, edge_classify.edge; print(mine.name, *sys.argv[1:])", "a", "-b"), 60
    )
    assert done.output.decode().split() == ["mine", "a", "-b"], done.errors


def test_programs_are_found_by_absolute_entries_of_path_alone(
    trap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("", ".", ":", f".:{tmp_path / 'none'}:"):
        monkeypatch.setenv("PATH", value)
        assert find_program("git") is None
        with pytest.raises(FileNotFoundError, match="git"):
            run(["git"], 5)
    monkeypatch.setenv("PATH", f":{os.path.dirname(sys.executable)}:.")  # noqa: PTH120
    assert child_environment()["PATH"] == os.path.dirname(sys.executable)  # noqa: PTH120
    assert not trap.exists()


def test_children_get_neither_pythons_variables_nor_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONSTARTUP", "PYTHONHOME", "EDGE_CLASSIFY_PUBLISH", "EDGE_CLASSIFY_WEBHOOK"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("DISPLAY", ":5")
    done = run(python_command("import os; print(*sorted(os.environ))"), 60)
    assert done.status == 0
    names = done.output.decode().split()
    assert "DISPLAY" in names
    assert not [name for name in names if name.startswith(("PYTHON", "EDGE_CLASSIFY"))]


def test_child_that_reads_its_standard_input_finds_it_empty() -> None:
    assert run(python_command("print(repr(sys.stdin.read()))"), 60).output.split() == [b"''"]


def test_output_is_kept_to_its_limit_and_the_rest_costs_nothing() -> None:
    before = psutil.Process().memory_info().rss
    code = (
        "import os\nfor n in range(2000): os.write(1, b'x' * 10**5); os.write(2, b'y' * 10**5)\nprint('end')"
    )
    done = run(python_command(code), 300, most_bytes=1000)
    assert (done.status, done.cut) == (0, True)
    assert (len(done.output), len(done.errors)) == (1000, 1000)
    assert done.output.endswith(b"xxxend\n")
    assert psutil.Process().memory_info().rss - before < 30e6


SLEEPER = (
    "import subprocess; "
    "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid, flush=True); "
)


@pytest.mark.parametrize("ending", ["import time; time.sleep(600)", "sys.exit(3)", "import os; os.abort()"])
def test_what_a_child_started_ends_with_it_even_where_it_holds_the_pipe(ending: str) -> None:
    done = run(python_command(SLEEPER + ending), 3)
    pid = int(done.output)
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert done.status == {"sys.exit(3)": 3, "import os; os.abort()": -6}.get(ending)


def test_server_that_a_program_leaves_running_is_left_where_that_was_asked_for() -> None:
    started = time.monotonic()
    done = run(python_command(SLEEPER), 60, leaves_server=True)
    server = psutil.Process(int(done.output))
    assert done.status == 0 and server.is_running() and time.monotonic() - started < 50
    server.kill()


def test_error_while_waiting_ends_the_child() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(python_command("import time; time.sleep(600)"), 600, check=stop)
    assert not [child for child in psutil.Process().children() if "sleep(600)" in " ".join(child.cmdline())]


def test_process_can_be_killed_and_waited_for_in_any_order() -> None:
    process = Process(python_command("import time; time.sleep(600)"))
    assert process.wait(0.05) is None
    assert process.kill() == process.kill() == process.wait(1) == -9
    process.close_streams()
    process.close_streams()


def test_settings_of_plots_in_the_working_folder_are_not_obeyed(trap: Path, tmp_path: Path) -> None:
    """With text.usetex every label would be a program for LaTeX."""
    (Path.cwd() / "matplotlibrc").write_text("text.usetex: True\nsavefig.dpi: 7\n")
    for name in ("matplotlib", "numpy", "PIL"):  # What is there is for this process to import.
        shutil.rmtree(Path.cwd() / name, ignore_errors=True)
    code = """
import json, sys
from edge_classify.train import plots
import matplotlib
print(json.dumps([matplotlib.rcParams["text.usetex"], matplotlib.rcParams["savefig.dpi"]]))
"""
    done = run(python_command(code), 120)
    assert done.output.decode().split("\n")[-2] == '[false, "figure"]', done.errors
