"""Memory of this process, and of the machine, in MB (10^6 bytes)."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

_STATUS = Path("/proc/self/status")
_STATM = Path("/proc/self/statm")  # In pages: all, resident, shared and more (proc(5)).


def resident_mb() -> float | None:
    """Return the resident memory of this process, None where unknown."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:  # This is not Linux.
        pass
    try:
        import psutil
    except ImportError:
        return None
    return float(psutil.Process().memory_info().rss / 1e6)


def peak_rss_mb() -> float | None:
    """Return the largest resident memory of this process so far, None where unknown.

    On Linux it is VmHWM, which counts from the start of this program; getrusage would also count the memory
    that the parent had before exec.
    """
    try:
        status = _STATUS.read_text(errors="replace")
    except OSError:
        status = ""
    if match := re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE):
        return int(match[1]) * 1024 / 1e6
    if platform.system() == "Darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return None


def available_mb() -> float | None:
    """Return the memory that programs can still get without swapping, None without psutil."""
    try:
        import psutil
    except ImportError:
        return None
    return float(psutil.virtual_memory().available / 1e6)
