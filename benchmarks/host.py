"""What machine a figure was measured on; no names of hosts or users."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

_BOARD = Path("/proc/device-tree/model")  # The board's name, on a Raspberry Pi and its like.
_CPUINFO = Path("/proc/cpuinfo")
_STATUS = Path("/proc/self/status")


def describe_host() -> dict[str, Any]:
    """Return board, processor, cores, memory in MB, system and Python version; None where unknown."""
    return {
        "board": _read(_BOARD).strip("\0\n ") or None,
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "memory_mb": _memory_mb(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def peak_rss_mb() -> float | None:
    """Return this process's largest resident memory so far in MB (10^6 bytes), None where unknown.

    On Linux from VmHWM, which counts from the start of this program; getrusage's figure also
    includes the parent's memory before exec.
    """
    match = re.search(r"^VmHWM:\s*(\d+) kB", _read(_STATUS), re.MULTILINE)
    if match:
        return int(match[1]) * 1024 / 1e6
    if platform.system() == "Darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return None


def _processor() -> str | None:
    for key in ("model name", "Model", "Hardware"):  # x86, and what ARM kernels offer instead.
        if match := re.search(rf"^{key}\s*:\s*(.+)$", _read(_CPUINFO), re.MULTILINE):
            return match[1].strip()
    return platform.processor() or None


def _memory_mb() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000
    except (AttributeError, ValueError, OSError):
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
