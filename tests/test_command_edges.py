"""Empty arguments, stdout by name, and Ctrl-C while the program is loaded."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from edge_classify.edge.cli import main
from edge_classify.edge.files import write_atomically
from edge_classify.edge.outputs.writer import open_writer
from PIL import Image


@pytest.mark.parametrize("arguments", [[""], ["a.png", ""], ["a.png", "--model="], ["a.png", "-o", ""]])
def test_empty_path_is_refused_with_the_likely_cause(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("a.png")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "is empty. Is a variable of the shell unset?" in result.output


def test_output_to_a_dash_is_stdout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("a.png")
    result = CliRunner().invoke(main, ["--json", "-o", "-", "a.png"])
    assert result.exit_code == 0 and '"score"' in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize(
    ("package", "words", "module"),
    [
        ("edge", ["a.png"], "click"),
        ("edge", ["a.png"], "numpy"),
        ("benchmarks", ["a.tflite"], "click"),
        ("benchmarks", ["a.tflite"], "numpy"),
        ("convert", ["folder", "-o", "out"], "click"),
        ("convert", ["folder", "-o", "out"], "numpy"),
        ("convert", ["folder", "-o", "out"], "tensorflow"),
        ("train", ["folder", "-o", "out"], "click"),
        ("train", ["folder", "-o", "out"], "keras"),
        ("train", ["folder", "-o", "out"], "tensorflow.python"),
        ("train", ["folder", "-o", "out"], "sklearn"),
    ],
)
def test_interrupt_while_the_program_loads_is_one_word_without_a_traceback(
    package: str, words: list[str], module: str, tmp_path: Path
) -> None:
    # The first import of the module is the signal to interrupt it.
    program = (
        "import builtins, os, signal\n"
        f"from edge_classify.{package}.__main__ import main\n"
        "real = builtins.__import__\n"
        "def interrupting(name, *more, **named):\n"
        f"    if name.startswith({module!r}): os.kill(os.getpid(), signal.SIGINT)\n"
        "    return real(name, *more, **named)\n"
        "builtins.__import__ = interrupting\n"
        "main()\n"
    )
    (tmp_path / "folder").mkdir()
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, "Interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_text("old")
    path.chmod(0o640)
    write_atomically(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o640)
    writer = open_writer(path, force=True)
    writer.write("newer\n")
    writer.close()
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("newer\n", 0o640)


def test_camera_device_that_is_not_there_is_no_video_file() -> None:
    pytest.importorskip("cv2")
    done = CliRunner().invoke(main, ["--camera", "/dev/video987654", "--frames", "1"])
    assert done.exit_code == 1
    assert "/dev/video987654 does not exist" in done.output and "video file" not in done.output
