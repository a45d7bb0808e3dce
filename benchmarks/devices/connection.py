"""A connection that is opened anew when it is lost, for as long as that is worth while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ...edge.console import say
from ...edge.errors import BenchmarkError
from .link import BOOTSTRAP, Link, NoPython, Stopped
from .ssh import LinkError, explain, ssh_command
from .target import SshTarget

T = TypeVar("T")
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_SHORT_LIVED, _MOST_LOSSES = 10.0, 8  # Seconds, and how many such connections in a row are enough.


class Connection:
    """The way to one device's agent, for the job of this name.

    What is asked over it may be asked again: the agent does nothing twice.
    """

    def __init__(self, target: SshTarget, job: str, patience: float, stop: threading.Event) -> None:
        """Open it. Raises BenchmarkError with the reason in words, or Stopped."""
        self._target = target
        self._job = job
        self._patience = patience
        self._stop = stop
        self._losses, self._opened = 0, time.monotonic()
        self._link: Link | None = None
        self._link = self._open()
        self.facts: dict[str, Any] = self._link.hello

    def insist(self, step: Callable[[Link], T]) -> T:
        """Do `step`, and again from its beginning with a new connection whenever one is lost meanwhile.

        Raises BenchmarkError where the device cannot be reached for `patience` seconds, and Stopped.
        """
        while True:
            try:
                if self._link is None:
                    self._link = self._reopen()
                return step(self._link)
            except LinkError as error:
                self.close()
                if error.lasting:
                    raise BenchmarkError(_named(self._target, str(error))) from None
                self._count_loss(error)

    def _count_loss(self, error: LinkError) -> None:
        lines = str(error).splitlines() or ["ssh ended without a word"]
        lived = time.monotonic() - self._opened
        self._losses = self._losses + 1 if lived < _SHORT_LIVED else 1
        if self._losses > _MOST_LOSSES:
            raise BenchmarkError(f"{self._target.name}: every connection is lost at once ({lines[-1]})")
        say(
            f"{self._target.name}: the connection was lost ({lines[-1].strip()}). It is opened anew, for "
            f"up to {self._patience:.0f} seconds; what runs there goes on",
            "warning",
        )

    def close(self) -> None:
        """End the connection."""
        if self._link is not None:
            self._link.close()
        self._link = None

    def _open(self) -> Link:
        command = ssh_command(self._target, BOOTSTRAP)
        try:
            return Link(command, self._job, self._stop)
        except NoPython as error:
            raise LinkError(
                f"{self._target.name}: Python 3.10 or newer is needed there. Received: {error.found}. "
                "On Debian and Raspberry Pi OS bookworm: sudo apt install python3-venv",
                lasting=True,
            ) from None
        except LinkError as error:
            raise explain(self._target, str(error)) from None
        except FileNotFoundError:
            raise BenchmarkError(
                f"--on {self._target.name} needs the program {command[0]}. On Debian: "
                "apt install openssh-client"
            ) from None

    def _reopen(self) -> Link:
        end, pause = time.monotonic() + self._patience, _FIRST_PAUSE
        while True:
            if self._stop.wait(pause):
                raise Stopped
            try:
                link = self._open()
            except LinkError as error:
                if error.lasting or time.monotonic() > end:
                    raise BenchmarkError(str(error)) from None
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            self._opened = time.monotonic()
            say(f"{self._target.name}: connected again")
            return link


def _named(target: SshTarget, text: str) -> str:
    return text if text.startswith(target.name) else f"{target.name}: {text}"
