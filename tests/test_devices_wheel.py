"""The wheel that goes onto a device."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import venv
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from edge_classify.benchmarks.devices.wheel import build_wheel


def test_wheel_holds_the_light_half_and_no_more() -> None:
    names = zipfile.ZipFile(BytesIO(build_wheel().data)).namelist()
    folders = {"/".join(name.split("/")[:2]) for name in names if ".dist-info" not in name}
    assert folders == {"edge_classify/edge", "edge_classify/benchmarks"}
    assert "edge_classify/edge/default_model.tflite" in names
    assert "edge_classify/benchmarks/devices/far/agent.py" in names
    assert not [name for name in names if "studies" in name or "__pycache__" in name]


def test_wheel_is_the_same_for_the_same_files_and_its_record_is_true() -> None:
    wheel = build_wheel()
    assert wheel == build_wheel()
    archive = zipfile.ZipFile(BytesIO(wheel.data))
    record = next(name for name in archive.namelist() if name.endswith("RECORD"))
    rows = [line.rsplit(",", 2) for line in archive.read(record).decode().splitlines()]
    assert {row[0] for row in rows} == set(archive.namelist())
    for name, digest, size in rows:
        if name != record:
            raw = hashlib.sha256(archive.read(name)).digest()
            assert digest == "sha256=" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
            assert int(size) == len(archive.read(name))


def test_wheel_requires_the_base_install_and_no_extra() -> None:
    requires = build_wheel().requires
    assert any(line.startswith("numpy") for line in requires)
    assert any(line.startswith("ai-edge-litert") for line in requires)
    assert not [line for line in requires if line.startswith(("tensorflow", "keras", "opencv", "jinja2"))]


def test_pip_installs_the_wheel_with_its_two_commands(tmp_path: Path) -> None:
    wheel = build_wheel()
    (tmp_path / wheel.name).write_bytes(wheel.data)
    venv.create(tmp_path / "venv", with_pip=False)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(tmp_path / "venv"),
        "install",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*pip, tmp_path / wheel.name], check=True, capture_output=True)
    found = {path.name for path in (tmp_path / "venv" / "bin").glob("edge-*")}
    assert found == {"edge-classify", "edge-benchmark"}


@pytest.mark.slow
def test_wheel_in_a_fresh_environment_brings_a_command_that_runs(tmp_path: Path) -> None:
    wheel = build_wheel()
    (tmp_path / wheel.name).write_bytes(wheel.data)
    venv.create(tmp_path / "venv", with_pip=True)
    scripts = tmp_path / "venv" / "bin"
    subprocess.run([scripts / "pip", "install", "--quiet", tmp_path / wheel.name], check=True)
    told = subprocess.run(
        [scripts / "edge-benchmark", "--version"], check=True, capture_output=True, text=True
    )
    assert told.stdout.startswith("edge-benchmark ")
