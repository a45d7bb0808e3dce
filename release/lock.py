"""Writes the lock files: the version and the checksums of every package that CI and `--on` install.

    python -m release.lock [--upgrade]      needs uv: make lock brings it

Without --upgrade a package keeps its version where that still fits what setup.cfg asks for. Each lock holds
for every Python and system that its requirements hold for (uv's universal resolution). The only index that
is asked is PyPI, whatever pip and uv are set up with here, and no address gets into a lock.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYPI = "https://pypi.org/simple"
# TensorFlow, OpenCV and LiteRT have no wheels for 32-bit ARM, where tflite-runtime is the only runtime.
_WIDE = "platform_machine != 'armv7l'"
_OLD_ARM = "platform_machine == 'armv7l' and python_version < '3.12'"
_OLDEST_PYTHON = "3.10"


@dataclass(frozen=True)
class Lock:
    """A lock file, and what it is resolved from; all paths relative to the repository.

    `extras` are setup.cfg's. `within` is a lock whose versions are taken over. `without` comes from the
    system. `python` is the oldest version that it holds for, `systems` the marker.
    """

    path: str
    source: str
    extras: tuple[str, ...] = ()
    within: str | None = None
    without: tuple[str, ...] = ()
    python: str = _OLDEST_PYTHON
    systems: str = _WIDE


_CONSTRAINTS = "requirements/constraints.in"
EVERYTHING = "requirements/everything.txt"
# In this order: one that takes over versions comes after the lock that has them.
LOCKS = (
    Lock("requirements/build.txt", "requirements/build.in"),
    Lock(EVERYTHING, "setup.cfg", extras=("all", "dev")),
    Lock("requirements/tools.txt", "requirements/tools.in"),
    Lock("requirements/checks.txt", "requirements/checks.in"),
    Lock("requirements/docs.txt", "requirements/docs.in", within=EVERYTHING),
    Lock("requirements/mediapipe.txt", "requirements/mediapipe.in"),
    Lock(
        "requirements/tflite-runtime.txt", "requirements/tflite-runtime.in",
        systems="python_version < '3.12'",
    ),
    Lock("benchmarks/devices/locked/64-bit.txt", "setup.cfg", within=EVERYTHING),
    Lock(
        "benchmarks/devices/locked/32-bit-arm.txt", "setup.cfg", within=EVERYTHING,
        without=("numpy", "pillow", "psutil"), systems=_OLD_ARM,
    ),
)  # fmt: skip


def write(lock: Lock, *, upgrade: bool) -> None:
    """Resolve one lock and write its file. Raises CalledProcessError, after uv has said why."""
    target = ROOT / lock.path
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "pyproject.toml"
        settings.write_text(f'[tool.uv]\nenvironments = ["{lock.systems}"]\n', encoding="utf-8")
        made = Path(folder) / target.name
        if target.exists():  # uv keeps the versions that it finds in the file that it writes.
            shutil.copy(target, made)
        command = [*_resolver(), str(ROOT / lock.source), "--output-file", made.name]
        command += ["--python-version", lock.python, *(["--upgrade"] if upgrade else [])]
        command += [f"--extra={name}" for name in lock.extras]
        command += [f"--no-emit-package={name}" for name in lock.without]
        for constraint in filter(None, (_CONSTRAINTS, lock.within)):
            command += ["--constraint", str(ROOT / constraint)]
        subprocess.run(command, cwd=folder, env=_environment(folder), check=True, stdout=subprocess.DEVNULL)
        shutil.copyfile(made, target)


def _resolver() -> list[str]:
    uv = Path(sys.executable).with_name("uv")
    return [
        str(uv), "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-annotate",
        "--default-index", PYPI, "--no-python-downloads", "--custom-compile-command", "make lock",
    ]  # fmt: skip


def _environment(folder: str) -> dict[str, str]:
    """Return the environment without settings that name another index."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
    return {**own, "XDG_CONFIG_HOME": folder, "XDG_CONFIG_DIRS": folder}


if __name__ == "__main__":
    for each in LOCKS:
        sys.stdout.write(f"{each.path}\n")
        try:
            write(each, upgrade="--upgrade" in sys.argv[1:])
        except subprocess.CalledProcessError as error:
            sys.exit(f"{each.path} stays as it was: uv found no versions that fit ({error.returncode})")
