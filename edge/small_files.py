"""Files that a user names and that must be small: labels, tables of classes, results, keys; also from a pipe.

`--labels <(cut -d, -f2 table.csv)` gives a pipe. A pipe in a folder of somebody else, to which nobody writes,
would otherwise be waited for without end.
"""

from __future__ import annotations

import os
import select
import stat
import time
from pathlib import Path

from .errors import EdgeClassifyError

_WRITER_S = 5.0  # How long somebody may take to begin writing to a pipe; of a shell's <(...) it has begun.
_SILENCE_S, _WHOLE_S = 30.0, 300.0  # How long it may then be silent, and take in all.
_POLL_S = 0.05
_BLOCK = 1 << 16


def read_small(path: Path, most: int, what: str, error: type[EdgeClassifyError]) -> bytes:
    """Return the bytes of a file or pipe that should be `what`, such as "a label file".

    Raises `error` where it cannot be read, holds more than `most` bytes (no more is read), or is a pipe that
    nobody writes to, or not to its end.
    """
    try:
        raw = _read(path, most + 1)
    except _SilentPipeError as failure:
        raise error(f"{path} cannot be read as {what}: it is a pipe {failure}") from None
    except ValueError as failure:  # The name holds a zero byte.
        raise error(f"{path} cannot be read as {what}: {failure}") from None
    except OSError as failure:
        raise error(f"{path} cannot be read as {what}: {failure.strerror}") from None
    if len(raw) > most:
        raise error(f"{path} is larger than {most // 2**20} MiB: too large for {what}")
    return raw


class _SilentPipeError(Exception):
    """A pipe from which nothing comes; the text goes on from "a pipe"."""


def _read(path: Path, most: int) -> bytes:
    # Without O_NONBLOCK, opening a pipe would wait for a writer.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        if stat.S_ISFIFO(os.fstat(handle).st_mode):
            return _read_pipe(handle, most)
        if hasattr(os, "set_blocking"):  # A terminal: its user types.
            os.set_blocking(handle, True)
        with open(handle, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(handle)


def _read_pipe(handle: int, most: int) -> bytes:
    began = heard = time.monotonic()
    found, written = b"", False
    while len(found) < most:
        now = time.monotonic()
        if now - heard > _SILENCE_S or now - began > _WHOLE_S:
            raise _SilentPipeError("whose writer does not come to an end")
        try:
            block = os.read(handle, min(_BLOCK, most - len(found)))
        except BlockingIOError:  # There is a writer, and nothing to read yet.
            written = True
            select.select([handle], [], [], _POLL_S)
            continue
        if block:
            found, heard, written = found + block, now, True
        elif written:  # The writer has closed it.
            break
        elif now - began > _WRITER_S:
            raise _SilentPipeError("that nobody writes to")
        else:
            time.sleep(_POLL_S)
    return found
