"""The wheel holds everything, puts one name into site-packages, and runs without the extras."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from edge_classify.convert import quiet
from edge_classify.convert.quiet import LAST_PYTHON_OF_TENSORFLOW, import_tensorflow
from edge_classify.edge.appended import read_entry
from edge_classify.edge.default_model import DEFAULT_MODEL
from edge_classify.edge.errors import MissingPackageError
from edge_classify.edge.modelfile import ModelFile
from edge_classify.edge.runtime_packages import PythonBuild, runtime_package
from packaging.requirements import Requirement
from packaging.version import Version

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
    kept = {".py", ".html", ".css", ".js", ".tflite", ".txt", ".typed"}
    expected = {
        "edge_classify/" + path.relative_to(ROOT).as_posix() for path in _files() if path.suffix in kept
    }
    assert inside == expected


def _requirements(section: str, key: str) -> list[Requirement]:
    lines = [line.split("#")[0].strip() for line in _config()[section][key].splitlines()]
    return [Requirement(line) for line in lines if line]


def _installed(section: str, key: str, machine: str, python: str) -> dict[str, str]:
    """Return what pip would install on a machine: names with their bounds."""
    here = {"platform_machine": machine, "python_version": python, "extra": ""}
    found = [r for r in _requirements(section, key) if r.marker is None or r.marker.evaluate(here)]
    names = {r.name for r in found}
    return {name: ",".join(sorted(str(r.specifier) for r in found if r.name == name)) for name in names}


@pytest.mark.parametrize("minor", range(10, 15))
@pytest.mark.parametrize(("machine", "bits"), [("x86_64", 64), ("aarch64", 64), ("armv7l", 32)])
def test_pip_installs_the_runtime_that_there_is_for_a_python(machine: str, bits: int, minor: int) -> None:
    installed = _installed("options", "install_requires", machine, f"3.{minor}")
    runtimes = {"ai-edge-litert", "tflite-runtime"} & set(installed)
    expected = runtime_package(PythonBuild(bits, machine, (3, minor)))
    assert runtimes == ({expected} if expected else set())
    # tflite-runtime 2.14 was built for numpy 1.
    assert ("<2" in installed["numpy"]) == (expected == "tflite-runtime")


def test_tensorflow_is_required_up_to_the_last_python_that_it_has_a_release_for() -> None:
    classifiers = _config()["metadata"]["classifiers"].split("Programming Language :: Python :: ")
    minors = [int(text.strip().split("\n")[0].split(".")[1]) for text in classifiers if text.startswith("3.")]
    assert minors == list(range(10, 15))
    with_tensorflow = [
        (3, minor)
        for minor in minors
        if "tensorflow" in _installed("options.extras_require", "convert", "x86_64", f"3.{minor}")
    ]
    assert with_tensorflow[-1] == LAST_PYTHON_OF_TENSORFLOW
    assert with_tensorflow == [(3, minor) for minor in minors if minor <= LAST_PYTHON_OF_TENSORFLOW[1]]


@pytest.mark.parametrize(
    ("python", "said"),
    [
        ((3, 13), 'Training needs keras, .*Run: pip install "'),
        ((3, 14), 'no release of it for Python 3.14. Use Python 3.10 to 3.13: python3.13 -m venv .*[train]"'),
    ],
)
def test_missing_tensorflow_is_told_with_a_python_that_it_has_a_release_for(
    python: tuple[int, int], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)  # As if it was not installed.
    monkeypatch.setattr(quiet, "sys", SimpleNamespace(version_info=(*python, 0)))
    with pytest.raises(MissingPackageError, match=re.escape(said).replace(r"\.\*", ".*")):
        import_tensorflow("Training", "train")


@pytest.mark.parametrize(
    ("version", "allowed"),
    [
        ("3.12.4", True),
        ("3.13.2", False),
        ("3.14.1", False),
        ("3.15.0", False),
        ("3.15.1", True),
        ("4.0", False),
    ],
)
def test_keras_whose_loading_was_not_examined_is_not_installed(version: str, allowed: bool) -> None:
    (keras,) = [r for r in _requirements("options.extras_require", "convert") if r.name == "keras"]
    assert keras.specifier.contains(Version(version)) == allowed


def test_wheel_says_who_made_it_and_where_its_model_comes_from(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        inside = {Path(name).name: name for name in opened.namelist() if ".dist-info/" in name}
        notice = opened.read(inside["NOTICE"]).decode()
        metadata = opened.read(inside["METADATA"]).decode()
    assert "LICENSE" in inside
    assert "Author: the edge-classify authors" in metadata
    assert "OS Independent" not in metadata
    models = [path.name for path in _files() if path.suffix == ".tflite"]
    assert models and not [name for name in models if name not in notice]


def test_notice_names_every_picture_in_the_default_model_and_its_source() -> None:
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    card = ModelFile.read(DEFAULT_MODEL).card
    assert card is not None and card.training is not None
    assert card.training.dataset == "cifar" and "CIFAR-10" in notice
    assert card.training.weights == "imagenet" and "ImageNet" in notice
    pictures = [example.image for example in card.golden]
    assert pictures and all(read_entry(DEFAULT_MODEL, name) for name in pictures)
    assert not [name for name in pictures if name not in notice]


def test_source_distribution_holds_what_a_build_and_the_tests_read_and_nothing_of_a_build(
    tmp_path: Path,
) -> None:
    build = "from build_backend import build_sdist; import sys; build_sdist(sys.argv[1])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "release")}
    command = [sys.executable, "-c", build, str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=environment)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as opened:
        inside = {name.partition("/")[2] for name in opened.getnames()}
    needed = {"NOTICE", "LICENSE", "setup.py", "edge/runtime_packages.py", "release/build_backend.py"}
    assert needed <= inside
    assert {
        "tests/conftest.py",
        "tests/support/shared.py",
        "requirements/everything.txt",
        "Makefile",
    } <= inside
    strange = [
        name for name in inside if re.search(r"\.pyc$|\.egg-info|^build/|^\.venv|/\.ns/|^/|\.\.", name)
    ]
    assert strange == []


@pytest.mark.parametrize(
    ("machine", "version", "said"),
    [
        ("armv7l", "3, 13", "Use the 64-bit Raspberry Pi OS"),
        ("aarch64", "3, 13", "Use the 64-bit Raspberry Pi OS"),
        ("armv6l", "3, 11", "Use a 64-bit system"),
    ],
)
def test_installing_from_source_where_no_runtime_exists_ends_in_words(
    machine: str, version: str, said: str, tmp_path: Path
) -> None:
    program = (
        "import platform, runpy, setuptools, struct, sys\n"
        "struct.calcsize = lambda _: 4\n"
        f"platform.machine = lambda: {machine!r}\n"
        f"sys.version_info = ({version}, 0, 'final', 0)\n"
        "sys.argv = ['setup.py', '--version']\n"
        f"runpy.run_path({str(ROOT / 'setup.py')!r}, run_name='__main__')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("edge-classify needs a TFLite runtime, and there is none for 32-bit Python")
    assert said in ran.stderr and "Traceback" not in ran.stderr


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
    for command in ("edge-train", "edge-convert"):
        result = subprocess.run(
            [scripts / command, str(tmp_path), "--output", "out"], capture_output=True, text=True, check=False
        )
        assert result.returncode == 1
        assert 'pip install "' in result.stderr and "edge-classify[" not in result.stderr
