"""How much memory there is, and how much this process holds."""

from __future__ import annotations

import os
from pathlib import Path

_STATUS = Path("/proc/self/statm")  # In pages: all, resident, shared and more (proc(5)).


def resident_mb() -> float | None:
    """Return this process's resident memory in MB (10^6 bytes), None where unknown."""
    try:
        return int(_STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:  # No Linux.
        pass
    try:
        import psutil
    except ImportError:
        return None
    return float(psutil.Process().memory_info().rss / 1e6)


def available_mb() -> float | None:
    """Return the memory that programs can still get without swapping in MB, None without psutil."""
    try:
        import psutil
    except ImportError:
        return None
    return float(psutil.virtual_memory().available / 1e6)
