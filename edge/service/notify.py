"""What a service reports to systemd while it runs, and how it ends on SIGTERM."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

# Three chances before systemd restarts a runner that is well; sd_watchdog_enabled(3) asks for at least two.
_FEEDS_PER_PERIOD = 3


class Terminated(KeyboardInterrupt):
    """SIGTERM has come: the run ends like after Ctrl-C, but as a success."""


@contextmanager
def graceful_termination() -> Iterator[None]:
    """End the block in good order when SIGTERM comes, and go on after it.

    In the main thread Terminated is raised wherever the block is, so that its `finally` and `with` clauses
    run; it is swallowed here. A second SIGTERM meanwhile is ignored. Raises ValueError outside of the main
    thread, as signal.signal does.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    former = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except Terminated:
        pass
    finally:
        signal.signal(signal.SIGTERM, former)


class Watchdog:
    """Reports to systemd that the service is ready, alive, and what it does, as sd_notify(3) describes.

    Does nothing without NOTIFY_SOCKET, by which a service manager asks for it. A message that cannot be sent
    at once is lost: nothing here waits, and nothing fails.
    """

    def __init__(
        self, environment: Mapping[str, str] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; `clock` gives seconds."""
        environment = os.environ if environment is None else environment
        self._clock = clock
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._pause = _feeding_pause(environment)
        self._next_feed = 0.0
        self._status = ""

    @property
    def active(self) -> bool:
        """Return whether a service manager listens."""
        # Other kinds, such as vsock: of virtual machines, don't reach a user's service.
        return self._address.startswith(("/", "@"))

    def ready(self, status: str = "") -> None:
        """Report that the service is up: models loaded, source opened."""
        self._send(f"READY=1\n{_status_line(status)}")
        self.feed()

    def feed(self) -> None:
        """Report that the service is alive. Call it often: it is sent each third of the watchdog's time."""
        now = self._clock()
        if self._pause is not None and now >= self._next_feed and self._send("WATCHDOG=1"):
            self._next_feed = now + self._pause

    def status(self, text: str) -> None:
        """Show one line in `systemctl status`; sent only when it differs from the last."""
        if text != self._status and self._send(_status_line(text)):
            self._status = text

    def stopping(self) -> None:
        """Report that the service is ending."""
        self._send("STOPPING=1")

    def _send(self, state: str) -> bool:
        if not self.active:
            return False
        import socket

        # A name in the abstract namespace begins with NUL, which is written @.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto(state.encode(), address)
        except OSError:
            return False
        return True


def _feeding_pause(environment: Mapping[str, str]) -> float | None:
    """Return seconds between two reports; None where no watchdog waits for this process."""
    period, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID")
    if not period.isdecimal() or int(period) == 0 or process not in (None, "", str(os.getpid())):
        return None
    return int(period) / 1_000_000 / _FEEDS_PER_PERIOD


def _status_line(text: str) -> str:
    return "STATUS=" + text.replace("\n", " ")
