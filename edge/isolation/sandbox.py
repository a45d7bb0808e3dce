"""Everything that a process can give up by itself before it opens what a stranger made.

Each part is asked of the system, and what could not be had is said: never taken for granted.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .landlock import restrict_files
from .seccomp import restrict_calls

_NO_NEW_PRIVS = 38  # PR_SET_NO_NEW_PRIVS of linux/prctl.h.
# What libraries read about the processor, at the first inference too, and how much memory is left. All users
# may read it.
_ABOUT_MACHINE = (Path("/proc/cpuinfo"), Path("/sys/devices/system/cpu"), Path("/proc/meminfo"))
_OPEN_FILES = 64


def enter(readable: Sequence[Path], memory: int) -> tuple[str, ...]:
    """Give up, for ever, what this process does not need to read files in `readable` and to compute.

    It may not read other files, write any, use the network, start or signal processes, load code, or take
    more than `memory` further bytes. Numbers of processes are not limited by RLIMIT_NPROC, which counts
    threads, and those of the user's other processes. Load all modules before. Returns what could not be had:
    phrases about the processes of --untrusted that go on from ":"; empty where nothing is missing.
    """
    missing = [*limit_resources(memory)]
    if not sys.platform.startswith("linux"):
        return (*missing, f"its processes have all the rights of their user: {sys.platform} is not Linux")
    libc = ctypes.CDLL(None, use_errno=True)
    no, yes = ctypes.c_ulong(0), ctypes.c_ulong(1)
    if libc.prctl(ctypes.c_int(_NO_NEW_PRIVS), yes, no, no, no):
        return (*missing, "its processes have all the rights of their user: no_new_privs is refused")
    with suppress(OSError):  # Loaded by the C library when a thread ends early; later it could not be.
        ctypes.CDLL("libgcc_s.so.1")
    several = _count_threads() > 1
    files = "threads of a library run already" if several else restrict_files((*readable, *_ABOUT_MACHINE))
    calls = restrict_calls()
    if files:
        missing.append(f"its processes can read files (no Landlock: {files})")
    if calls:
        writing = " write files," if files else ""
        missing.append(f"its processes can{writing} use the network and start programs (no seccomp: {calls})")
    return tuple(missing)


def limit_resources(memory: int) -> list[str]:
    """Forbid more than `memory` further bytes, long files, core dumps and many open files.

    Returns what the system does not limit.
    """
    try:
        import resource
    except ImportError:  # Windows.
        return ["the memory of its processes is not limited"]
    _lower(resource, resource.RLIMIT_CORE, 0)
    _lower(resource, resource.RLIMIT_FSIZE, 0)
    _lower(resource, resource.RLIMIT_NOFILE, _OPEN_FILES)
    statistics = Path("/proc/self/statm")  # Pages: all, resident, shared, code, libraries, data (proc(5)).
    if not statistics.exists():
        return ["the memory of its processes is not limited"]
    used = int(statistics.read_text().split()[5]) * resource.getpagesize()
    _lower(resource, resource.RLIMIT_DATA, used + memory)
    return []


def _lower(resource: Any, kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (limit, limit))


def _count_threads() -> int:
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:  # No /proc: libraries that start threads are told not to.
        return 1
