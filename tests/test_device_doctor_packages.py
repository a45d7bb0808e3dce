"""Runtimes and OpenCV that are missing, broken or without windows: packages of these names made here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from edge_classify.edge.doctor import packages
from edge_classify.edge.doctor.display import check_display
from edge_classify.edge.doctor.finding import ERROR, OK, WARNING, Finding
from edge_classify.edge.doctor.packages import check_image_packages, check_runtimes
from edge_classify.edge.runtime_packages import PythonBuild

from .support.system import require

NUMPY_2 = "raise ImportError('numpy.core.multiarray failed to import')"
ILLEGAL = "import os, signal\nos.kill(os.getpid(), signal.SIGILL)"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that this process and its children search for packages first."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


def _install_runtime(site: Path, body: str) -> None:
    package = site / "tflite_runtime"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text(body)
    metadata = site / "tflite_runtime-2.14.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tflite-runtime\nVersion: 2.14.0\n")


def _by_name(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@pytest.mark.parametrize(
    ("body", "said", "remedy"),
    [(NUMPY_2, "numpy.core.multiarray", "numpy<2"), (ILLEGAL, "killed by SIGILL", "64-bit system")],
)
def test_runtime_that_cannot_be_loaded_is_an_error_with_the_reason(
    site: Path, body: str, said: str, remedy: str
) -> None:
    _install_runtime(site, body)
    found = _by_name(check_runtimes())
    assert found["runtime ai-edge-litert"].detail.endswith(", used")
    broken = found["runtime tflite-runtime"]
    assert broken.status == ERROR
    assert said in broken.detail
    assert remedy in str(broken.remedy)


def test_runtime_that_was_named_is_the_one_used(site: Path) -> None:
    _install_runtime(site, "")
    found = _by_name(check_runtimes("tflite-runtime"))
    assert found["runtime ai-edge-litert"].detail.endswith("not used, since tflite-runtime is")
    assert found["runtime tflite-runtime"] == Finding("runtime tflite-runtime", OK, "2.14.0, used")


@pytest.mark.parametrize(
    ("python", "remedy"),
    [
        (PythonBuild(64, "aarch64", (3, 13)), "Run: pip install ai-edge-litert"),
        (PythonBuild(32, "armv7l", (3, 11)), "Run: pip install tflite-runtime"),
        (PythonBuild(32, "armv7l", (3, 13)), "Use the 64-bit Raspberry Pi OS"),
    ],
)
def test_machine_without_a_runtime_is_told_what_can_be_installed_there(
    python: PythonBuild, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "is_installed", lambda distribution: False)
    (found,) = check_runtimes(python=python)
    assert (found.name, found.status) == ("runtime", ERROR)
    assert remedy in str(found.remedy)


def test_image_packages_name_the_decoder_of_jpeg() -> None:
    found = _by_name(check_image_packages())
    assert found["numpy"].status == OK
    assert "JPEG by" in found["Pillow"].detail


@pytest.mark.usefixtures("no_display")
def test_machine_without_display_and_opencv_is_fine(site: Path) -> None:
    (site / "cv2.py").write_text("raise ModuleNotFoundError(\"No module named 'cv2'\")")
    found = _by_name(check_display())
    assert {finding.status for finding in found.values()} == {OK}
    assert 'pip install "opencv-python>=' in found["OpenCV"].detail


def test_opencv_without_windows_is_a_warning_where_there_is_a_display(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site / "cv2.py").write_text(
        "__version__ = '4.6.0'\ndef getBuildInformation(): return '\\n  GUI:                NONE\\n'"
    )
    monkeypatch.setenv("DISPLAY", ":0")
    assert _by_name(check_display())["OpenCV"].status == WARNING
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert _by_name(check_display())["OpenCV"].status == OK


def test_opencv_whose_libraries_are_missing_names_them(site: Path) -> None:
    (site / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    found = _by_name(check_display())["OpenCV"]
    assert found.status == ERROR
    assert "libgl1" in str(found.remedy)


@pytest.mark.usefixtures("no_display")
def test_display_that_does_not_answer_is_a_warning_and_aborts_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("cv2")
    monkeypatch.setenv("DISPLAY", ":77")
    found = _by_name(check_display())["window"]
    assert found.status == WARNING
    assert "DISPLAY=:77" in found.detail


@pytest.mark.usefixtures("no_display")
def test_display_that_answers_gives_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    server = require("Xvfb")
    read, write = os.pipe()
    process = subprocess.Popen(
        [server, "-displayfd", str(write)], pass_fds=[write], stderr=subprocess.DEVNULL
    )
    try:
        os.close(write)
        monkeypatch.setenv("DISPLAY", f":{os.read(read, 20).decode().strip()}")  # Written when it is ready.
        found = _by_name(check_display())["window"]
    finally:
        os.close(read)
        process.terminate()
        process.wait()
    assert found == Finding("window", OK, "--show can open one")
