"""An environment of its own for each client, made once and kept in pytest's cache folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
LOCKS = ROOT / "requirements"
CACHE = ROOT / ".pytest_cache" / "clients"
REQUIRED = "EDGE_CLASSIFY_REQUIRE_CLIENTS"


class Unavailable(Exception):
    """A client cannot be had on this machine."""


def or_skip(make: Callable[[], Path]) -> Path:
    """Return what `make` gives; where the client is unavailable, skip, or fail when they are required."""
    try:
        return make()
    except Unavailable as error:
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{error} ({REQUIRED} is 1)")
        pytest.skip(str(error))


def python_environment(client: str, python: str, check: str) -> Path:
    """Return the interpreter of a virtual environment with what requirements/CLIENT.txt locks.

    `python` makes it. `check` is a statement that must work there. Raises Unavailable.
    """
    requirements = LOCKS / f"{client}.txt"
    version = call(client, [python, "-c", "import sys; print(sys.version)"])

    def build(folder: Path) -> None:
        call(client, [python, "-m", "venv", folder])
        inside = folder / "bin" / "python"
        pip = [str(inside), "-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:"]
        call(client, [*pip, "--requirement", requirements])
        call(client, [inside, "-c", check])

    return kept(client, requirements.read_text() + version, build) / "bin" / "python"


def find_python(version: tuple[int, int]) -> str:
    """Return an interpreter of that version; raises Unavailable."""
    if sys.version_info[:2] == version:
        return sys.executable
    name = f"python{version[0]}.{version[1]}"
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is not installed")
    return found


def node_modules(client: str, folder: str) -> Path:
    """Return the packages that package-lock.json in a folder beside this file pins; raises Unavailable."""
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable("npm is not installed")
    lock = HERE / folder / "package-lock.json"

    def build(folder: Path) -> None:
        folder.mkdir()
        for path in (lock, lock.with_name("package.json")):
            shutil.copy(path, folder)
        call(client, [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)

    return kept(client, lock.read_text(), build) / "node_modules"


def call(client: str, command: list[str | Path], folder: Path | None = None) -> str:
    """Run a command and return what it printed; raises Unavailable with the last line of its errors."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, timeout=600, check=False, capture_output=True, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{client} cannot be installed here: {error}") from error
    if done.returncode:
        reason = (done.stderr.strip() or "no message").splitlines()[-1]
        raise Unavailable(f"{client} cannot be installed here: {reason}")
    return done.stdout


def kept(client: str, contents: str, build: Callable[[Path], None]) -> Path:
    """Return the folder that holds `contents`, built under a temporary name where it is missing."""
    kept = CACHE / f"{client}-{hashlib.sha256(contents.encode()).hexdigest()[:12]}"
    if not kept.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=f"{client}-unfinished-") as folder:
            build(Path(folder) / "built")
            try:
                (Path(folder) / "built").rename(kept)
            except OSError:
                if not kept.is_dir():  # Otherwise another process built the same meanwhile.
                    raise
    return kept
