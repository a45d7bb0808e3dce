"""Runs inside the sandbox: tries what must be refused there, and prints how each attempt ended, as JSON.

    python sandbox_probes.py WHICH PARENT READABLE SECRET FOLDER

WHICH is "all", "landlock" or "seccomp": what is entered. PARENT is a process of the same user, READABLE a
file that may be read, SECRET one that may not, FOLDER a folder to write into. Attempts that Python has no
function for are made by the numbers of the system's header, for x86_64 and aarch64.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edge_classify.edge.isolation.landlock import restrict_files
from edge_classify.edge.isolation.sandbox import enter
from edge_classify.edge.isolation.seccomp import restrict_calls

# asm/unistd_64.h and asm-generic/unistd.h; numbers from 424 on are the same on both.
X86 = platform.machine() == "x86_64"
NUMBERS = {
    "ptrace": 101 if X86 else 117,
    "process_vm_readv": 310 if X86 else 270,
    "tgkill": 234 if X86 else 131,
    "memfd_create": 319 if X86 else 279,
    "bpf": 321 if X86 else 280,
    "perf_event_open": 298 if X86 else 241,
    "keyctl": 250 if X86 else 219,
    "unshare": 272 if X86 else 97,
    "mount": 165 if X86 else 40,
    "userfaultfd": 323 if X86 else 282,
    "clone": 56 if X86 else 220,
    "execveat": 322 if X86 else 281,
    "mprotect": 10 if X86 else 226,
    "prctl": 157 if X86 else 167,
    "prlimit64": 302 if X86 else 261,
    "pidfd_open": 434,
    "pidfd_send_signal": 424,
    "io_uring_setup": 425,
    "clone3": 435,
    "openat2": 437,
}
PORT = 9  # Nobody listens there.
LIBC = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: int) -> int:
    """Make a system call and return its result; raises OSError where it fails."""
    values = [ctypes.c_ulong(value & (2**64 - 1)) for value in arguments]
    result = int(LIBC.syscall(ctypes.c_long(NUMBERS[name]), *values))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def attempts(parent: int, secret: Path, folder: Path) -> dict[str, Callable[[], object]]:
    """Return what must fail, by its name; nothing of it harms a system that allows it."""
    private = mmap.mmap(-1, mmap.PAGESIZE)
    priority, cores = os.getpriority(os.PRIO_PROCESS, parent), os.sched_getaffinity(parent)
    address = ctypes.addressof(ctypes.c_char.from_buffer(private))
    return {
        "read a file": secret.read_bytes,
        "read by another path": lambda: Path(f"/proc/self/root{secret}").read_bytes(),
        "read the parent's memory": lambda: Path(f"/proc/{parent}/mem").open("rb"),
        "read the parent's environment": lambda: Path(f"/proc/{parent}/environ").read_bytes(),
        "list a folder": lambda: list(folder.iterdir()),
        "write a new file": lambda: (folder / "new").write_bytes(b""),
        "write an old file": lambda: os.close(os.open(secret, os.O_WRONLY)),
        "cut a file": lambda: os.close(os.open(secret, os.O_RDONLY | os.O_TRUNC)),
        "make a file that is read": lambda: os.close(os.open(folder / "r", os.O_RDONLY | os.O_CREAT)),
        "make a folder": (folder / "sub").mkdir,
        "make a pipe": lambda: os.mkfifo(folder / "fifo"),
        "link": lambda: os.link(secret, folder / "linked"),
        "link by name": lambda: (folder / "by name").symlink_to(secret),
        "rename": lambda: secret.rename(folder / "moved"),
        "delete": secret.unlink,
        "change rights": lambda: secret.chmod(0o777),
        "change times": lambda: os.utime(secret, (0, 0)),
        "connect by TCP": lambda: socket.socket().connect(("127.0.0.1", PORT)),
        "listen by TCP": lambda: socket.socket().bind(("127.0.0.1", 0)),
        "send by UDP": lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", PORT)),
        "make a local socket": lambda: socket.socket(socket.AF_UNIX),
        "make a pair of sockets": socket.socketpair,
        "fork": lambda: os.fork() or os._exit(0),
        "clone with a namespace": lambda: (
            call("clone", 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0) or os._exit(0)
        ),
        "clone3": lambda: call("clone3", 0, 0),
        "execute": lambda: os.execv("/bin/true", ["true"]),
        "execute a descriptor": lambda: call("execveat", 0, 0, 0, 0, 0),
        "signal the parent": lambda: os.kill(parent, 0),
        "signal the parent's thread": lambda: call("tgkill", parent, parent, 0),
        "trace the parent": lambda: call("ptrace", 16, parent, 0, 0),  # PTRACE_ATTACH
        "look into the parent": lambda: call("process_vm_readv", parent, 0, 0, 0, 0, 0),
        "hold the parent": lambda: call("pidfd_open", parent, 0),
        "own a pipe's signals": lambda: fcntl.fcntl(1, fcntl.F_SETOWN, parent),
        "set the parent's priority": lambda: os.setpriority(os.PRIO_PROCESS, parent, priority),
        "set the parent's cores": lambda: os.sched_setaffinity(parent, cores),
        "raise a limit": lambda: call("prlimit64", 0, resource.RLIMIT_CORE, address, 0),
        "map code": lambda: mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_EXEC),
        "turn memory into code": lambda: call("mprotect", address, mmap.PAGESIZE, 5),
        "make a file in memory": lambda: call("memfd_create", address, 0),
        "load a kernel program": lambda: call("bpf", 0, 0, 0),
        "watch events": lambda: call("perf_event_open", 0, 0, 0, 0, 0),
        "use keys": lambda: call("keyctl", 0, 0, 0, 0, 0),
        "leave a namespace": lambda: call("unshare", 0x10000000),
        "mount": lambda: call("mount", 0, 0, 0, 0, 0),
        "handle faults": lambda: call("userfaultfd", 0),
        "queue calls": lambda: call("io_uring_setup", 1, address),
        "open in a newer way": lambda: call("openat2", 0, 0, 0, 0),
        "change what it may do": lambda: call("prctl", 22, 0, 0, 0, 0),  # PR_SET_SECCOMP
        "fake the terminal's input": lambda: fcntl.ioctl(0, 0x5412, b"x"),  # TIOCSTI
    }


def needs(readable: Path) -> dict[str, Callable[[], object]]:
    """Return what must work: reading the file that is named, threads, time, memory."""

    def thread() -> None:
        done = threading.Event()
        other = threading.Thread(target=done.set)
        other.start()
        other.join()
        assert done.is_set()

    return {
        "read what is named": readable.read_bytes,
        "start a thread": thread,
        "sleep": lambda: time.sleep(0.001),
        "take memory": lambda: bytearray(10_000_000),
        "draw a number": lambda: os.urandom(8),
        "count the cores": lambda: os.sched_getaffinity(0),
        "read about the processor": Path("/proc/cpuinfo").read_bytes,
        "read what memory is left": Path("/proc/meminfo").read_bytes,
    }


def outcome(attempt: Callable[[], object]) -> str:
    """Return the name of the error that an attempt raises, "" where it succeeds."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return ""


def main() -> None:
    """Enter what the arguments say, try everything, and print the outcomes."""
    which, parent, *paths = sys.argv[1:]
    readable, secret, folder = map(Path, paths)
    tried = attempts(int(parent), secret, folder) | needs(readable)
    missing: list[str | None] = []
    if which == "all":
        missing += enter([readable], 1 << 30)
    else:
        LIBC.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        missing.append(restrict_calls() if which == "seccomp" else restrict_files([readable]))
    found = {name: outcome(attempt) for name, attempt in tried.items()}
    sys.stdout.write(json.dumps({"missing": missing, "found": found}))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
