"""Files, network and signals taken away from this process, by Linux's Landlock.

The constants and structures are of the kernel's linux/landlock.h (Linux 6.12); versions of the interface are
described in Documentation/userspace-api/landlock.rst. The library of this name on PyPI is an alpha release
(1.0.0.dev5, of 2025), which knows neither network nor signals.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# The same on all architectures, as all calls since Linux 5.1.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION: ask for the version of the interface.
_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# By version: all rights on files up to MAKE_SYM, then REFER, TRUNCATE, IOCTL_DEV.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NETWORK_SINCE, _NETWORK_RIGHTS = 4, 0b11  # Binding and connecting TCP sockets.
_SCOPES_SINCE, _SCOPES = 6, 0b11  # Abstract sockets and signals: only those of this process.
_RULESET = struct.Struct("=QQQ")
_RULE = struct.Struct("=Qi")


def restrict_files(readable: Iterable[Path]) -> str | None:
    """Forbid this thread, and those that it starts, every access to files but reading `readable`, for ever.

    A folder in `readable` stands for all that is below it; what does not exist is left out. Where the kernel
    has it, TCP, abstract sockets and signals to others are forbidden as well. Files that are open stay so.
    Needs no_new_privs. Returns None, or why it could not be had.
    """
    version = interface_version()
    if isinstance(version, str):
        return version
    rights = _FILE_RIGHTS[max(since for since in _FILE_RIGHTS if since <= version)]
    network = _NETWORK_RIGHTS if version >= _NETWORK_SINCE else 0
    scopes = _SCOPES if version >= _SCOPES_SINCE else 0
    # An older kernel takes the longer structure as long as it holds zeros where it ends.
    described = _RULESET.pack(rights, network, scopes)
    ruleset = _call(_CREATE_RULESET, described, ctypes.c_size_t(len(described)), ctypes.c_uint32(0))
    if ruleset < 0:
        return _reason()
    try:
        for path in readable:
            _allow_reading(ruleset, path)
        return _reason() if _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)) else None
    finally:
        os.close(ruleset)


def interface_version() -> int | str:
    """Return the version of the kernel's Landlock, or why there is none."""
    try:
        version = _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    except (AttributeError, TypeError, OSError):  # No libc with syscall(): Windows.
        return "this system has none"
    return version if version > 0 else _reason()


def _allow_reading(ruleset: int, path: Path) -> None:
    with suppress(OSError):
        file = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            rights = _READ_FILE | (_READ_DIR if path.is_dir() else 0)
            _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), _RULE.pack(rights, file),
                  ctypes.c_uint32(0))  # fmt: skip
        finally:
            os.close(file)


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.syscall(ctypes.c_long(number), *arguments))


def _reason() -> str:
    """Return why the last call failed, as words that follow "no Landlock: "."""
    number = ctypes.get_errno()
    return {
        errno.ENOSYS: "the kernel has none, or a container hides it",
        errno.EOPNOTSUPP: "it is switched off when the kernel starts",
        errno.EPERM: "a container forbids it",
    }.get(number, f"the kernel says: {os.strerror(number)}")
