"""What Keras downloads: what people see of it, and why it failed."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import NamedTuple

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


class DownloadFailure(NamedTuple):
    """Which address was asked, and the reason why it gave nothing."""

    address: str
    reason: str

    @classmethod
    def of(cls, error: Exception) -> DownloadFailure | None:
        """Read what Keras raised; None for something else, such as a damaged file that it had kept."""
        match = _FAILURE.search(str(error))
        if match is None:
            return None
        address, status, text = match.groups()
        reason = _ERROR_NUMBER.sub("", " ".join(text.split())).rstrip(".")
        return cls(address, reason if status == "None" else f"{status} {reason}")

    def __str__(self) -> str:
        """Return both, as messages have them."""
        return f"{self.address}: {self.reason}"


class _DownloadOutput(io.TextIOBase):
    """What Keras prints of a download: its address, and a bar that is drawn again and again."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._drawn = False

    def write(self, text: str) -> int:
        if text.startswith("Downloading data from"):
            say(f"Downloading {self._what}, once; Keras keeps them")
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
