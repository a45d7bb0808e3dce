"""Keeps the output of native libraries off the terminal."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

_TAIL = 2000
_LOCK = threading.RLock()


class _Sink:
    """The null device: opened for each use, or kept open."""

    def __init__(self) -> None:
        self.kept: BinaryIO | None = None

    def opened(self) -> AbstractContextManager[BinaryIO]:
        return Path(os.devnull).open("wb") if self.kept is None else nullcontext(self.kept)


_sink = _Sink()


def keep_sink() -> None:
    """Open the null device now, once, for a process that is about to forbid itself to open files."""
    _sink.kept = Path(os.devnull).open("wb")  # noqa: SIM115 - It stays open.


@contextmanager
def silenced(show_on_error: bool = False) -> Iterator[None]:
    """Discard everything that the block writes to stdout and stderr, also from native code.

    With `show_on_error` the last part of it goes to stderr when the block raises, since it may explain why.
    """
    with _LOCK, _temporary_file() if show_on_error else _sink.opened() as file:
        kept = _redirect(file.fileno())
        failed = False
        try:
            yield
        except Exception:
            failed = True
            raise
        finally:
            _restore(kept)
            if failed and show_on_error:
                _show_tail(file)


def _temporary_file() -> Any:
    import tempfile  # Slow to import, and seldom needed.

    return tempfile.TemporaryFile()


def _redirect(target: int) -> tuple[int, int]:
    _flush()
    kept = os.dup(1), os.dup(2)
    os.dup2(target, 1)
    os.dup2(target, 2)
    return kept


def _restore(kept: tuple[int, int]) -> None:
    _flush()
    for target, original in zip((1, 2), kept, strict=True):
        os.dup2(original, target)
        os.close(original)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # It is None where the shell closed it with `>&-`.
            stream.flush()


def _show_tail(file: Any) -> None:
    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - _TAIL))
    sys.stderr.write(file.read().decode(errors="replace"))
