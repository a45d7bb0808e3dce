"""Ctrl-C while the program is loaded, when nothing is open that had to be closed."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress

TYPE_CHECKING = False  # As in edge/__init__.py.
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_INTERRUPTED = 130  # As console.INTERRUPTED, which is loaded later.


class _Stderr:
    """Where the word goes: output is discarded while some modules are loaded."""

    number = 2


def quit_on_interrupt() -> None:
    """Have Ctrl-C end the program at once with one word; a program that ignores it keeps ignoring it.

    Modules in C turn a KeyboardInterrupt during their import into an error of that import.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        if _Stderr.number == 2:
            _Stderr.number = _copy_of_stderr()
        signal.signal(signal.SIGINT, _quit)


def raise_on_interrupt() -> None:
    """Have Ctrl-C raise KeyboardInterrupt again, where `quit_on_interrupt` changed that."""
    if signal.getsignal(signal.SIGINT) is _quit:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def loading() -> Iterator[None]:
    """Have Ctrl-C end the program at once while the block imports modules; for the main thread only."""
    raises = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    quit_on_interrupt()
    try:
        yield
    finally:
        if raises:
            raise_on_interrupt()


def _copy_of_stderr() -> int:
    try:
        return os.dup(2)
    except OSError:  # The shell closed it with `2>&-`.
        return 2


def _quit(number: int, frame: FrameType | None) -> None:
    with suppress(OSError):
        os.write(_Stderr.number, b"Interrupted\n")
    os._exit(_INTERRUPTED)
