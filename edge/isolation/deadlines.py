"""Time limits for what other processes do, kept by one thread: starting one for each takes milliseconds."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable


class Deadlines:
    """Calls a function for each limit that is not taken back in time; a process that was forked has none."""

    def __init__(self) -> None:
        """Begin without a thread: the first limit starts it."""
        self._changed = threading.Condition()
        self._ends: dict[object, tuple[float, Callable[[], None]]] = {}
        self._wakes = 0.0  # When the thread looks again; 0 while it waits for the first limit.
        self._process = 0

    def begin(self, seconds: float, late: Callable[[], None]) -> object:
        """Have `late` called in so many seconds, unless `end` is called with what this returns."""
        ticket, end = object(), time.monotonic() + seconds
        with self._changed:
            if self._process != os.getpid():  # A process that was forked has no threads of its parent's.
                self._ends.clear()
                self._wakes, self._process = 0.0, os.getpid()
                threading.Thread(target=self._watch, name="time limits", daemon=True).start()
            self._ends[ticket] = end, late
            if not self._wakes or end < self._wakes:
                self._changed.notify()
        return ticket

    def end(self, ticket: object) -> None:
        """Take a limit back; after this its function is not called any more."""
        with self._changed:
            self._ends.pop(ticket, None)

    def _watch(self) -> None:
        with self._changed:
            while True:
                self._wakes = self._call_the_late()
                self._changed.wait(self._wakes - time.monotonic() if self._wakes else None)

    def _call_the_late(self) -> float:
        """Call what is late; return when the next limit ends, 0 where there is none.

        It is a function by itself so that no variable keeps the last process alive while the thread waits.
        """
        now = time.monotonic()
        for ticket, (end, late) in list(self._ends.items()):
            if end <= now:
                del self._ends[ticket]
                late()
        return min((end for end, _ in self._ends.values()), default=0.0)
