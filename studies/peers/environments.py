"""A virtual environment for each peer, made once under build/peers, and its size on disk."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from studies.peers.errors import PeerError

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OURS = "edge-classify"
_STAMP = "made-from.txt"
_TIMEOUT_S = 1800
_NOT_THE_PEERS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence")


@dataclass(frozen=True)
class Environment:
    """A Python, and the MB (10^6 bytes) of the packages in it that count."""

    python: Path
    disk_mb: float


def child_variables(packages: Path | None = None) -> dict[str, str]:
    """Return the environment variables of other processes, with the folder `packages` to import from."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return {
        **kept,
        **({"PYTHONPATH": str(packages)} if packages else {}),
        "CUDA_VISIBLE_DEVICES": "-1",  # All peers run on the processor.
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CI": "true",  # OpenVINO's tools send no telemetry then.
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",  # Its notice would be the last line, where errors are.
    }


def call(command: Sequence[str | Path], packages: Path | None = None) -> None:
    """Run a command silently; raises PeerError with the last of its errors."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            env=child_variables(packages), timeout=_TIMEOUT_S, check=False, capture_output=True, text=True,
            errors="replace",
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerError(f"{Path(command[0]).name} failed: {error}") from None
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()
        errors = [line for line in lines if line.startswith("ERROR")]  # Hints may follow pip's error.
        raise PeerError((errors or lines)[-1].strip())


def environment(name: str, build: Path) -> Environment:
    """Return the virtual environment of requirements/NAME.txt, made where it is missing or out of date.

    That of edge-classify gets this project as it is now. Raises PeerError where an installation fails.
    """
    requirements = HERE / "requirements" / f"{name}.txt"
    folder = build / name
    python = folder / "bin" / "python"
    made_from = requirements.read_text(encoding="utf-8") + sys.version
    if not _is_made_from(folder, made_from):
        shutil.rmtree(folder, ignore_errors=True)
        call([sys.executable, "-m", "venv", folder])
        call([python, "-m", "pip", "install", "--quiet", "--requirement", requirements])
        if name == OURS:
            call([python, "-m", "pip", "install", "--quiet", ROOT])
        (folder / _STAMP).write_text(made_from, encoding="utf-8")
    if name == OURS:
        call([python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", ROOT])
    return Environment(python, _folder_mb(next(folder.glob("lib/python*/site-packages"))))


def tools(name: str, build: Path) -> Path:
    """Return a folder with the packages of requirements/NAME.txt alone, without their requirements.

    So tools for TensorFlow's graphs use the TensorFlow of this Python. Raises PeerError.
    """
    requirements = HERE / "requirements" / f"{name}.txt"
    folder = build / name
    made_from = requirements.read_text(encoding="utf-8") + sys.version
    if not _is_made_from(folder, made_from):
        shutil.rmtree(folder, ignore_errors=True)
        call([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder,
              "--requirement", requirements])  # fmt: skip
        (folder / _STAMP).write_text(made_from, encoding="utf-8")
    return folder


def own_environment(packages: Iterable[str]) -> Environment:
    """Return this Python, with the size of `packages` and of all packages that they require.

    Raises PeerError where one of them is not installed.
    """
    for name in packages:
        try:
            importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            raise PeerError(f"{name} is not installed beside edge-classify") from None
    found = required(packages)
    files = {Path(str(d.locate_file(file))) for d in found.values() for file in d.files or ()}
    return Environment(
        Path(sys.executable), sum(path.stat().st_size for path in files if path.is_file()) / 1e6
    )


def required(packages: Iterable[str]) -> dict[str, importlib.metadata.Distribution]:
    """Return the installed packages among `packages` and their requirements, by name."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = list(packages)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:  # An optional requirement that is not installed.
            continue
        needs = [Requirement(line) for line in found[name].requires or ()]
        waiting += [
            need.name.lower() for need in needs if not need.marker or need.marker.evaluate({"extra": ""})
        ]
    return found


def _is_made_from(folder: Path, text: str) -> bool:
    stamp = folder / _STAMP
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == text


def _folder_mb(site_packages: Path) -> float:
    """Return the size of all packages except those of every virtual environment."""
    parts = [part for part in site_packages.iterdir() if not part.name.startswith(_NOT_THE_PEERS)]
    files = [file for part in parts for file in (part.rglob("*") if part.is_dir() else (part,))]
    return sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink()) / 1e6


def digest(*texts: str) -> str:
    """Return a short name for the contents of these texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]
