"""Which package brings a TFLite runtime for a Python, or why none does.

setup.py runs this file by itself, before anything is installed: it imports the standard library alone.
"""

from __future__ import annotations

import platform
import struct
import sys
from typing import NamedTuple

# TensorFlow Lite's wheels for 32 bits are for ARMv7; a 64-bit kernel calls itself aarch64 or armv8l there.
_ARM_32 = ("armv7", "armv8", "aarch64", "arm64")
# The newest Python that tflite-runtime has wheels for; 2.14.0, of 2023, is its last version.
_LAST_FOR_TFLITE_RUNTIME = (3, 11)
_OLD = "tflite-runtime 2.14, the last one, is for Python 3.11 and older"


class PythonBuild(NamedTuple):
    """What decides which wheels a Python can take.

    `bits` are Python's own, 32 or 64; the kernel's may be more. `machine` is the kernel's name of it, as
    platform.machine() gives it. `version` is (major, minor).
    """

    bits: int
    machine: str
    version: tuple[int, int]

    @classmethod
    def here(cls) -> PythonBuild:
        """Return what runs this."""
        return cls(8 * struct.calcsize("P"), platform.machine(), sys.version_info[:2])

    def __str__(self) -> str:
        return f"{self.bits}-bit Python {self.version[0]}.{self.version[1]} on {self.machine}"


def runtime_package(python: PythonBuild) -> str | None:
    """Return the runtime that pip can install for a Python; None where there is none.

        runtime_package(PythonBuild(64, "aarch64", (3, 13)))  # "ai-edge-litert"
        runtime_package(PythonBuild(32, "armv7l", (3, 11)))   # "tflite-runtime"
        runtime_package(PythonBuild(32, "armv7l", (3, 13)))   # None

    For 64 bits that is always ai-edge-litert, also on a machine that it has no wheels for: pip says so.
    """
    if python.bits == 64:
        return "ai-edge-litert"
    old_enough = python.version <= _LAST_FOR_TFLITE_RUNTIME
    return "tflite-runtime" if old_enough and python.machine.lower().startswith(_ARM_32) else None


def why_no_runtime(python: PythonBuild) -> str | None:
    """Return why no runtime can be installed for a Python, and the remedy; None where one can."""
    if runtime_package(python) is not None:
        return None
    if not python.machine.lower().startswith(_ARM_32):
        return f"there is none for {python}. Use a 64-bit system"
    return (
        f"there is none for {python}: {_OLD}. Use the 64-bit Raspberry Pi OS, or the 32-bit one of Debian "
        "bookworm (another system: with 64 bits, or with Python 3.11)"
    )


def why_not(name: str, python: PythonBuild) -> str | None:
    """Return why pip cannot install the runtime called `name`, and the remedy; None where it may."""
    if (reason := why_no_runtime(python)) is not None:
        return reason
    if name == "tflite-runtime" and python.version > _LAST_FOR_TFLITE_RUNTIME:
        return f"there is none for {python}: {_OLD}. Use ai-edge-litert"
    if name == "ai-edge-litert" and python.bits == 32:
        return f"there is none for {python}. Use tflite-runtime"
    return None
