"""What the child processes of this package share: their pipe to the parent, signals, and a time limit."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from ..quiet import keep_sink
from .messages import ERROR, MAX_TEXT, write_message

_PDEATHSIG = 1  # PR_SET_PDEATHSIG of linux/prctl.h.


def claim_stdout() -> IO[bytes]:
    """Return the pipe to the parent. Output of native code goes to stderr, without waiting for a reader.

    Ctrl-C and the end of a service are ignored: the parent handles them, and this process ends with it.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if os.name == "posix":
        os.set_blocking(2, False)
    keep_sink()
    _end_with_parent()
    return pipe


def _end_with_parent() -> None:
    """Have the kernel end this process with the parent's thread that started it, whatever it does then.

    Elsewhere than on Linux, only a process that still reads its standard input notices its end.
    """
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None)
        libc.prctl(ctypes.c_int(_PDEATHSIG), ctypes.c_ulong(signal.SIGKILL))


def report(answers: IO[bytes], name: str, text: str) -> None:
    """Send an error: the name of a class in errors.py, and the text."""
    write_message(answers, ERROR, json.dumps({"name": name, "text": text[:MAX_TEXT]}).encode())


@contextmanager
def ends_after(seconds: float) -> Iterator[None]:
    """Have the system end this process a second after the parent's limit, whatever native code does."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
