"""Memory that a training frees stays in its process: the next step finds its pages there."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

_BLOCK = 40_000_000
_STEPS = f"""
import ctypes, resource, sys
from edge_classify.convert.heap import keep_freed_memory

kept = keep_freed_memory() if sys.argv[1] == "keep" else False
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def step():
    block = libc.malloc({_BLOCK})
    ctypes.memset(block, 1, {_BLOCK})
    libc.free(block)

step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")


def faults(manner: str, **environment: str) -> tuple[str, int]:
    """Return whether memory is kept, and how many pages ten steps ask the system for."""
    given = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    result = subprocess.run(
        [sys.executable, "-c", _STEPS, manner],
        env={**given, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    kept, count = result.stdout.split()
    return kept, int(count)


@glibc
def test_freed_memory_is_kept() -> None:
    pages = 10 * _BLOCK // os.sysconf("SC_PAGE_SIZE")
    kept, count = faults("keep")
    assert kept == "True" and count < pages / 100
    kept, count = faults("as it is")
    assert kept == "False" and count > pages / 2


@glibc
def test_users_own_settings_of_the_allocator_stay() -> None:
    assert faults("keep", MALLOC_TOP_PAD_="131072")[0] == "False"
