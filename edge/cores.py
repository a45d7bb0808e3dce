"""How many processors there are to use."""

from __future__ import annotations

import os


def cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_of(threads: int) -> int:
    """Return how many workers share out files, each with so many threads: one for as many processors."""
    return max(1, cores() // threads)
