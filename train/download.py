"""How Keras downloads weights: what people see of it, and why it failed."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from ..edge.console import say, stderr_is_terminal

# What keras.utils.get_file raises: the address, the status of HTTP or None, and the reason.
_FAILURE = re.compile(r"URL fetch failure on (\S+): (\S+) -- (.+)", re.DOTALL)
_COLOUR = re.compile(r"\x1b\[\d*m")
_ERROR_NUMBER = re.compile(r"^\[Errno -?\d+\] ")


@contextmanager
def download_shown(what: str) -> Iterator[None]:
    """Say that `what` is downloaded, if the block does, with Keras's bar on a terminal; all on stderr."""
    shown = _DownloadOutput(what)
    with redirect_stdout(shown):
        try:
            yield
        finally:
            shown.end()


def describe_failure(error: Exception) -> str:
    """Return the end of "The weights ...": why they cannot be had, and how to bring them from elsewhere."""
    match = _FAILURE.search(str(error))
    if match is None:
        return (
            f"cannot be loaded ({error}). Delete the file in ~/.keras/models, to download it again, "
            "or give another one with --weights FILE"
        )
    address, status, reason = match.groups()
    reason = _ERROR_NUMBER.sub("", reason.strip()).rstrip(".")
    reason = reason if status == "None" else f"{status} {reason}"
    return (
        f"cannot be downloaded ({reason}). Fetch {address} on a machine with a network and give it with "
        "--weights FILE"
    )


class _DownloadOutput(io.TextIOBase):
    """What Keras prints of a download: its address, and a bar that is drawn again and again."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._drawn = False

    def write(self, text: str) -> int:
        if text.startswith("Downloading data from"):
            say(f"Downloading the ImageNet weights of {self._what}, once; Keras keeps them")
        elif text.strip() and stderr_is_terminal():
            sys.stderr.write(_COLOUR.sub("", text))
            self._drawn = True
        return len(text)

    def flush(self) -> None:
        if self._drawn:
            sys.stderr.flush()

    def end(self) -> None:
        """Leave the line of the bar."""
        if self._drawn:
            sys.stderr.write("\n")
