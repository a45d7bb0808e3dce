"""The wheel holds everything, puts one name into site-packages, and runs without the extras."""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from .support.pictures import make_picture

ROOT = Path(__file__).parent.parent
PACKAGES = ("edge", "train", "convert", "benchmarks")


def _config() -> configparser.RawConfigParser:
    config = configparser.RawConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


def _files() -> list[Path]:
    """Return what lies in the packages."""
    return [path for name in PACKAGES for path in (ROOT / name).glob("**/*")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    # Not in build/, where files lie that have been moved since, and get into every later wheel.
    settings = folder / "setup.cfg"
    settings.write_text(f"[build]\nbuild_base = {folder / 'build'}\n")
    environment = {**os.environ, "DIST_EXTRA_CONFIG": str(settings)}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return next(folder.glob("*.whl"))


def test_base_install_requires_nothing_that_only_training_needs() -> None:
    required = _config()["options"]["install_requires"].lower()
    assert not [
        name for name in ("tensorflow", "keras", "opencv", "matplotlib", "scikit") if name in required
    ]


def test_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    kept = {".py", ".html", ".css", ".js", ".tflite", ".typed"}
    expected = {
        "edge_classify/" + path.relative_to(ROOT).as_posix() for path in _files() if path.suffix in kept
    }
    assert inside == expected


@pytest.mark.slow
def test_wheel_in_a_clean_environment_classifies_without_tensorflow_or_opencv(
    wheel: Path, converted: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    scripts = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / "python"

    def run(*command: object) -> str:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        return subprocess.run(
            [str(part) for part in command], check=True, capture_output=True, text=True, cwd=tmp_path,
            env=environment,
        ).stdout  # fmt: skip

    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    before = {path.name for path in site.iterdir()}
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel)
    added = {path.name for path in site.iterdir() if path.suffix != ".dist-info"} - before
    assert added == {"edge_classify"}

    run(python, "-m", "pip", "install", "--quiet", wheel)
    heavy = "('tensorflow', 'keras', 'cv2', 'sklearn')"
    found = run(python, "-c", f"import importlib.util as u; print([m for m in {heavy} if u.find_spec(m)])")
    assert found.strip() == "[]"
    assert "Usage: edge-classify" in run(scripts / "edge-classify", "--help")
    make_picture("red disc", 7).save(tmp_path / "photo.png")
    model = converted / "cnn_int8.tflite"
    answer = json.loads(run(scripts / "edge-classify", "--model", model, "--json", "photo.png"))
    assert answer["model"] == "cnn_int8"
    assert len(answer["predictions"]) == 3
    for command, extra in (("edge-train", "train"), ("edge-convert", "convert")):
        result = subprocess.run(
            [scripts / command, str(tmp_path), "--output", "out"], capture_output=True, text=True, check=False
        )
        assert result.returncode == 1
        assert f'pip install "edge-classify[{extra}]"' in result.stderr
