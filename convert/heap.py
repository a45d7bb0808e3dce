"""Keeps freed memory in the process, so that a training does not ask the system for it in every step.

glibc gives large blocks back to Linux as soon as they are freed. TensorFlow frees and takes the same hundreds
of megabytes in every step, and the system must clear each of their pages again. On a virtual machine that
took a quarter of a training's time. Results do not change. studies/heap.py measures it.
"""

from __future__ import annotations

import ctypes
import os
import platform

# The parameters of mallopt(3), and what each is set to. glibc takes an int.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_SETTINGS = {_MMAP_THRESHOLD: 1 << 30, _TRIM_THRESHOLD: (1 << 31) - 1, _TOP_PAD: 1 << 26}
# Who sets one of these has decided already; another allocator may be preloaded as well.
_DECIDED = (
    "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_ARENA_MAX",
    "GLIBC_TUNABLES", "LD_PRELOAD",
)  # fmt: skip


def keep_freed_memory() -> bool:
    """Let glibc keep what this process frees; return whether it does.

    Nothing is set with another C library, or where the environment sets glibc's own variables.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _DECIDED):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(parameter, value) == 1 for parameter, value in _SETTINGS.items())
