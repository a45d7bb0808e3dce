"""Android's adb: which device, and commands on it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from ...edge.errors import BenchmarkError
from ..host import Host
from .link import Stopped
from .target import AdbTarget

_SHORT, _PUSH = 30.0, 600.0  # Seconds for a command, and for sending a file.
_STATES = {
    "unauthorized": "it has not allowed USB debugging to this computer: confirm the question on its screen",
    "authorizing": "it is being authorized: confirm the question on its screen, and try again",
    "offline": "it is offline: unplug it and plug it in again",
    "recovery": "it is in recovery mode: start Android",
    "sideload": "it is in sideload mode: start Android",
}


class Adb:
    """The program adb, for one device. `serial` is the chosen device's."""

    def __init__(self, target: AdbTarget, stop: threading.Event) -> None:
        """Find the device. Raises BenchmarkError where there is none, several, or it does not let us."""
        program = shutil.which("adb")
        if program is None:
            raise BenchmarkError(
                f"--on {target.name} needs the program adb. On Debian: apt install adb; or take Android's "
                "SDK Platform-Tools, and put its folder on PATH"
            )
        self._program = program
        self._stop = stop
        self._name = target.name
        self.serial = choose(target, parse_devices(self._run(["devices"], _SHORT)))

    def shell(self, command: str, seconds: float = _SHORT) -> str:
        """Run a line for the device's shell, and return what it wrote to stdout and stderr."""
        return self._run(["-s", self.serial, "shell", command], seconds)

    def push(self, source: Path, to: str) -> None:
        """Copy a file. Raises BenchmarkError where that fails."""
        said = self._run(["-s", self.serial, "push", str(source.resolve()), to], _PUSH)
        if re.search(r"^adb: error|failed to copy", said, re.MULTILINE):
            raise BenchmarkError(
                f"{self._name}: {source} cannot be copied there ({said.strip().splitlines()[-1]})"
            )

    def _run(self, arguments: list[str], seconds: float) -> str:
        end = time.monotonic() + seconds
        # A file: adb's server is started by the first call, and would keep a pipe open.
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                [self._program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            try:
                while process.poll() is None:
                    if self._stop.is_set():
                        raise Stopped
                    if time.monotonic() > end:
                        raise BenchmarkError(f"{self._name}: adb did not end within {seconds:.0f} seconds")
                    time.sleep(0.05)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            said.seek(0)
            text = said.read().decode(errors="replace").replace("\r\n", "\n")
        if process.returncode and re.search(r"^(adb|error): .*(device|connect|daemon)", text, re.MULTILINE):
            raise BenchmarkError(f"{self._name}: {text.strip().splitlines()[-1]}")
        return text


def parse_devices(text: str) -> dict[str, str]:
    """Return the state of every device, by serial, that `adb devices` lists."""
    rows = (line.split(None, 1) for line in text.splitlines() if "\t" in line)
    return {row[0]: row[1].strip() for row in rows if len(row) == 2}


def choose(target: AdbTarget, devices: dict[str, str]) -> str:
    """Return the serial of the device that is meant; raises BenchmarkError that lists what is there."""
    listed = ", ".join(f"{serial} ({state})" for serial, state in devices.items()) or "none"
    if target.serial is not None and target.serial not in devices:
        raise BenchmarkError(f"{target.name}: adb lists no such device. It lists: {listed}")
    usable = [serial for serial, state in devices.items() if state == "device"]
    if target.serial is None and len(usable) > 1:
        raise BenchmarkError(f"{target.name}: several devices are there; name one as adb:SERIAL of: {listed}")
    if target.serial is None and not usable and len(devices) != 1:
        raise BenchmarkError(
            f"{target.name}: no Android device can be used. adb lists: {listed}. "
            "Plug one in, with USB debugging switched on"
        )
    serial = target.serial or (usable or list(devices))[0]
    if devices[serial] != "device":
        why = _STATES.get(devices[serial].split()[0], f"its state is {devices[serial]}, see adb devices -l")
        raise BenchmarkError(f"{target.name}: {serial} cannot be used: {why}")
    return serial


def describe(adb: Adb) -> Host:
    """Return what device it is, by the properties that Android sets."""
    names = ("ro.product.manufacturer", "ro.product.model", "ro.soc.model", "ro.build.version.release")
    maker, model, chip, release = (adb.shell(f"getprop {name}").strip() for name in names)
    architecture, count = adb.shell("uname -m").strip(), adb.shell("nproc").strip()
    memory = re.search(r"MemTotal:\s*(\d+) kB", adb.shell("cat /proc/meminfo"))
    memory_mb = int(memory[1]) * 1024 // 1_000_000 if memory else None
    cores = int(count) if count.isdigit() else 1
    board = f"{maker} {model}".strip() or None
    kind = [board, chip or None, architecture, cores, memory_mb and round(memory_mb / 1000)]
    return Host(
        board=board,
        processor=chip or None,
        architecture=architecture,
        cores=cores,
        memory_mb=memory_mb,
        system=f"Android {release}",
        python="none",
        fingerprint=hashlib.sha256(json.dumps(kind).encode()).hexdigest()[:12],
    )
