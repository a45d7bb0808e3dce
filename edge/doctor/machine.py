"""Python, the operating system, its clock, memory and disk."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from ..procfs import read_text
from ..runtime_packages import PythonBuild, why_no_runtime
from .finding import ERROR, OK, WARNING, Finding

# This program is newer; a Raspberry Pi without a clock battery starts with an old date.
_FIRST_YEAR = 2025
# Bytes for Python with the runtime, a 224x224 MobileNetV2 and a photo of 12 megapixels.
_NEEDED_MEMORY = 250e6
_NEEDED_DISK = 200e6
_MACHINES_64 = ("aarch64", "arm64", "x86_64", "amd64")


def check_python() -> Iterator[Finding]:
    """Report the version, and whether Python has as many bits as the kernel."""
    python = PythonBuild.here()
    yield Finding("Python", OK, f"{platform.python_version()}, {python.bits} bit, {sys.executable}")
    yield check_userland(python)


def check_userland(python: PythonBuild) -> Finding:
    """Compare the bits of Python with those of the kernel, by its name of the machine, such as "aarch64".

    The 32-bit Raspberry Pi OS starts a 64-bit kernel on a Pi 4 and newer; for requirements that name the
    machine, pip then wants 64-bit packages.
    """
    if python.bits == 64 or python.machine.lower() not in _MACHINES_64:
        return Finding("architecture", OK, f"{python.machine}, {python.bits} bit")
    remedy = "Install the 64-bit Raspberry Pi OS"
    if why_no_runtime(python) is None:
        remedy += (
            "; or keep this one, with tflite-runtime and Debian's python3-numpy and python3-pil (README, "
            "On a Raspberry Pi)"
        )
    detail = f"the kernel is {python.machine}, but Python has 32 bits: slower, and without ai-edge-litert"
    return Finding("architecture", WARNING, detail, remedy)


def check_system(root: Path, now: datetime) -> Iterator[Finding]:
    """Report the name of the system, its clock, free memory and disk space."""
    release = read_text(root / "etc/os-release") or ""
    match = re.search(r'^PRETTY_NAME="?([^"\n]*)', release, re.MULTILINE)
    name = match[1] if match else platform.system()
    yield Finding("system", OK, f"{name}, {platform.system()} {platform.release()}")
    yield _check_clock(now)
    yield from _check_memory(root)
    yield _check_disk(Path.cwd())


def current_time() -> datetime:
    """Return the system clock's time in UTC."""
    return datetime.now(timezone.utc)


def _check_clock(now: datetime) -> Finding:
    if now.year < _FIRST_YEAR:
        return Finding(
            "clock",
            WARNING,
            f"it is set to {now:%Y-%m-%d}, which is in the past: certificates will be refused",
            "Connect to the network and run: sudo timedatectl set-ntp true",
        )
    return Finding("clock", OK, f"{now:%Y-%m-%d %H:%M} UTC")


def _check_memory(root: Path) -> Iterator[Finding]:
    """Report the available memory by /proc/meminfo; nothing on systems without it."""
    sizes = dict(re.findall(r"^(\w+):\s+(\d+) kB", read_text(root / "proc/meminfo") or "", re.MULTILINE))
    if "MemAvailable" not in sizes or "MemTotal" not in sizes:
        return
    free, total = (int(sizes[key]) * 1024 for key in ("MemAvailable", "MemTotal"))
    detail = f"{free / 1e6:,.0f} of {total / 1e6:,.0f} MB are free"
    if free < _NEEDED_MEMORY:
        yield Finding(
            "memory",
            WARNING,
            detail,
            "Stop other programs, or the desktop: sudo systemctl isolate multi-user",
        )
    else:
        yield Finding("memory", OK, detail)


def _check_disk(folder: Path) -> Finding:
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        return Finding(
            "disk", ERROR, f"{folder} cannot be examined ({error.strerror})", "Start in another folder"
        )
    detail = f"{usage.free / 1e9:,.1f} GB are free in {folder}"
    if not os.access(folder, os.W_OK):
        return Finding("disk", WARNING, f"{detail}, but it cannot be written", "Start in your own folder")
    if usage.free < _NEEDED_DISK:
        return Finding("disk", WARNING, detail, "Delete files: saving and collecting there will fail")
    return Finding("disk", OK, detail)
