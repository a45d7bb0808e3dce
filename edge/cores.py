"""The number of processors that may be used."""

from __future__ import annotations

import os


def cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_of(threads: int) -> int:
    """Return how many workers of `threads` threads each the processors can run, at least 1."""
    return max(1, cores() // threads)
