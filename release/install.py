"""Installs the packages of lock files into the environment of this Python, and shows how far it is.

    python release/install.py requirements/build.txt requirements/everything.txt

Standard library only: nothing else is there yet. On a terminal one line shows what pip does; what else pip
says is only shown where it fails.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

# The versions that were tested, by their checksums; no source is built, which would fetch what no lock names.
_PIP = [sys.executable, "-m", "pip", "install", "--require-hashes", "--only-binary", ":all:"]
_QUIET = {"PIP_ROOT_USER_ACTION": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
_RAW_PROGRESS = (24, 1)  # The first pip that writes "Progress 12 of 34" where no terminal is.
_UNPACKING = "unpacking"
_SHOWN_OF_A_FAILURE = 15
_LINE = 90


class Installation:
    """pip at work on one file: `state` is what it does now, `said` all that it printed."""

    def __init__(self, lock: Path) -> None:
        """Take the lock; nothing is installed yet."""
        self.lock = lock
        self.packages = count_packages(lock)
        self.said: list[str] = []
        self.state = "asking for packages"
        self._found = 0
        self._name = ""

    def run(self, began: float) -> int:
        """Return the exit status of pip; the time that is shown is since `began`, of time.monotonic()."""
        version = tuple(map(int, re.findall(r"\d+", metadata.version("pip"))[:2]))
        bar = ["--progress-bar", "raw"] if version >= _RAW_PROGRESS else []
        with subprocess.Popen(
            [*_PIP, *bar, "-r", str(self.lock)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, **_QUIET}, text=True, errors="replace",
        ) as pip:  # fmt: skip
            assert pip.stdout is not None
            reader = threading.Thread(target=self._read, args=(pip.stdout,))
            reader.start()
            while reader.is_alive():
                reader.join(0.5)
                self._show(time.monotonic() - began)
            if sys.stderr.isatty():
                _say("\r\x1b[K", end="")
            return pip.wait()

    def _read(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.take(line)

    def take(self, line: str) -> None:
        """Read a line that pip printed."""
        if progress := re.match(r"Progress (\d+) of (\d+)", line):
            done, total = (int(number) / 1e6 for number in progress.groups())
            where = f"package {self._found} of {self.packages}, {self._name}"
            self.state = f"{where}: {done:.0f} of {total:.0f} MB"
            return
        self.said.append(line.rstrip())
        if collected := re.match(r"Collecting ([\w.-]+)", line):
            self._found += 1
            self._name = collected[1]
            self.state = f"package {self._found} of {self.packages}, {self._name}"
        elif line.startswith("Installing collected packages"):
            self.state = _UNPACKING

    def _show(self, seconds: float) -> None:
        if sys.stderr.isatty():
            state = f"{_UNPACKING} package {_unpacked()}" if self.state == _UNPACKING else self.state
            text = f"   {int(seconds) // 60}:{int(seconds) % 60:02d}  {state}"
            _say(f"\r\x1b[K{text[:_LINE]}", end="")


def _unpacked() -> int:
    """Return how many packages are installed by now."""
    return len(list(Path(sysconfig.get_path("purelib")).glob("*.dist-info")))


def count_packages(lock: Path) -> int:
    """Return how many packages a lock file names, for all systems together."""
    return len(re.findall(r"^[A-Za-z0-9][\w.-]*==", lock.read_text(encoding="utf-8"), re.MULTILINE))


def _say(text: str, end: str = "\n") -> None:
    sys.stderr.write(text + end)
    sys.stderr.flush()


def main(locks: list[Path]) -> int:
    """Install all locks, one after the other; return the exit status of pip."""
    began = time.monotonic()
    packages = sum(map(count_packages, locks))
    _say(f"Installing TensorFlow and {packages - 1} packages (3 GB on the disk; some minutes)")
    for lock in locks:
        installation = Installation(lock)
        if status := installation.run(began):
            _say("\n".join(installation.said[-_SHOWN_OF_A_FAILURE:]))
            _say(f"Error: pip could not install {lock} (exit status {status}, see above)")
            return status
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    _say(f"   Installed in {minutes} min {seconds} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(list(map(Path, sys.argv[1:]))))
