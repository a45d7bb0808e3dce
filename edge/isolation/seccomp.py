"""A filter of system calls, by Linux's seccomp: what computing needs is allowed, and all else is refused.

The constants are of the kernel's linux/seccomp.h, linux/filter.h, linux/bpf_common.h, linux/prctl.h and
linux/sched.h. Of the libraries that could do it, pyseccomp was last released in 2021 and needs
libseccomp.so.2, which Raspberry Pi OS Lite and slim containers lack.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable

from .syscalls import FIRST_COMMON_NUMBER, Processor, numbers_of, this_processor

_SET_MODE_FILTER, _FLAG_TSYNC = 1, 1  # TSYNC: for all threads of the process.
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
# Classic BPF: load a word, return, and jumps by equal, greater or equal, and by bits that are set.
_LOAD, _RETURN, _EQUAL, _GREATER_EQUAL, _BITS_SET = 0x20, 0x06, 0x15, 0x35, 0x45
_INSTRUCTION = struct.Struct("=HBBI")
# Offsets in struct seccomp_data; arguments have 64 bits, of which the lower half is first.
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_PROT_EXEC = 0x4
_OPEN_FOR_WRITING = (
    os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_TMPFILE", 0) & 0o20000000
)
_CLONE_THREAD, _CLONE_NEW = 0x00010000, 0x7E020000  # All of CLONE_NEW*: namespaces.
# Duplicating, reading and setting flags; not F_SETOWN, by which others can be sent signals.
_FCNTL = (0, 1, 2, 3, 4, 1030, 1032)
_PRCTL = (15, 16, 0x53564D41)  # PR_SET_NAME, PR_GET_NAME and PR_SET_VMA name threads and memory.

Instructions = list[bytes]


def restrict_calls() -> str | None:
    """Refuse all threads of this process what computing does not need, for ever.

    Refused are opening files for writing, sockets, new processes and programs, signals to and looking into
    other processes, new code in memory, and changes of limits and rights. A refused call fails with EPERM,
    or with ENOSYS where libraries then try an older one; a call for another architecture ends the process.
    Needs no_new_privs. Returns None, or why it could not be had.
    """
    processor = this_processor()
    if processor is None:
        return f"the calls of {os.uname().machine if hasattr(os, 'uname') else 'this system'} are not known"
    program = b"".join(filter_of(processor, os.getpid()))
    code = ctypes.create_string_buffer(program, len(program))
    count = len(program) // _INSTRUCTION.size
    # struct sock_fprog: the number of instructions, and a pointer.
    described = struct.pack("@HP", count, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    failed = libc.syscall(
        ctypes.c_long(processor.seccomp), ctypes.c_ulong(_SET_MODE_FILTER), ctypes.c_ulong(_FLAG_TSYNC),
        ctypes.create_string_buffer(described, len(described)),
    )  # fmt: skip
    if not failed:
        return None
    number = ctypes.get_errno()
    return "a thread has another filter" if failed > 0 else f"the kernel says: {os.strerror(number)}"


def filter_of(processor: Processor, pid: int) -> Instructions:
    """Return the instructions of the filter for the process `pid`."""
    program = [
        *_load(_ARCH), _jump(_EQUAL, processor.audit, 1, 0), _end(_KILL_PROCESS), *_load(_NUMBER)
    ]  # fmt: skip
    if processor.foreign_bit:
        program += [_jump(_GREATER_EQUAL, processor.foreign_bit, 0, 1), _end(_KILL_PROCESS)]
    rules = _rules(pid)
    for name, number in numbers_of(processor).items():
        rule = rules.get(name, [_end(_ALLOW)])
        program += [_jump(_EQUAL, number, 0, len(rule)), *rule]
    # Names that only ARM has are above all others.
    unknown = [_jump(_GREATER_EQUAL, FIRST_COMMON_NUMBER, 0, 1), _refuse(errno.ENOSYS), _refuse(errno.EPERM)]
    return program + unknown


def _rules(pid: int) -> dict[str, Instructions]:
    """Return for calls that are allowed with some arguments only what decides; it ends in an answer."""
    rules = {name: _unless_bits(2, _PROT_EXEC) for name in ("mmap", "mmap2", "mprotect")}
    rules |= {name: _one_of(1, _FCNTL) for name in ("fcntl", "fcntl64")}
    return rules | {
        "open": _unless_bits(1, _OPEN_FOR_WRITING),
        "openat": _unless_bits(2, _OPEN_FOR_WRITING),
        # clone3 hides its flags in memory. It is not in the table, so that libraries fall back to clone.
        "clone": [
            *_argument(0), _jump(_BITS_SET, _CLONE_NEW, 1, 0), _jump(_BITS_SET, _CLONE_THREAD, 1, 0),
            _refuse(errno.EPERM), _end(_ALLOW),
        ],
        "ioctl": [_refuse(errno.ENOTTY)],  # What Python and C libraries ask of a pipe on opening it.
        "prctl": _one_of(0, _PRCTL),
        "prlimit64": [*_argument(2), _jump(_EQUAL, 0, 0, 2), *_upper_half(2), _jump(_EQUAL, 0, 1, 0),
                      _refuse(errno.EPERM), _end(_ALLOW)],  # Only reading limits.
        "tgkill": _one_of(0, (pid,)),  # abort() sends itself a signal.
    }  # fmt: skip


def _unless_bits(argument: int, bits: int) -> Instructions:
    """Allow a call unless one of `bits` is set in an argument."""
    return [*_argument(argument), _jump(_BITS_SET, bits, 0, 1), _refuse(errno.EPERM), _end(_ALLOW)]


def _one_of(argument: int, values: Iterable[int]) -> Instructions:
    """Allow a call where an argument, of 32 bits, has one of `values`."""
    values = tuple(values)
    jumps = [_jump(_EQUAL, value, len(values) - place, 0) for place, value in enumerate(values)]
    return [*_argument(argument), *jumps, _refuse(errno.EPERM), _end(_ALLOW)]


def _load(offset: int) -> Instructions:
    return [_INSTRUCTION.pack(_LOAD, 0, 0, offset)]


def _argument(number: int) -> Instructions:
    return _load(_ARGUMENTS + 8 * number)


def _upper_half(number: int) -> Instructions:
    return _load(_ARGUMENTS + 8 * number + 4)


def _jump(condition: int, value: int, when_true: int, when_false: int) -> bytes:
    """Skip so many instructions where the condition on the loaded word is true, or is not."""
    return _INSTRUCTION.pack(condition, when_true, when_false, value)


def _end(action: int) -> bytes:
    return _INSTRUCTION.pack(_RETURN, 0, 0, action)


def _refuse(number: int) -> bytes:
    return _end(_ERRNO | number)
