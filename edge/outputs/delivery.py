"""Brings results to a receiver that may be slow or away, without ever holding up the camera."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

# Eight seconds at 30 frames/s; with 1,000 classes a result (about 70 kB) 18 MB.
CAPACITY = 256
_LONGEST_EXPONENT = 30


class Retry(Exception):
    """The receiver cannot take the item now: it is sent again.

    `reason` goes on after the receiver's name: "answers 503"; empty where it was said already. `pause` is how
    many seconds the receiver asked to be left alone; None: as often as Pauses says.
    """

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.pause = reason, pause


class Refused(Exception):
    """The receiver will never take this item: the next one is sent. `reason` as in Retry."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Pauses:
    """Seconds between attempts: doubled from `first` to `longest`, of which a random half is left out.

    This is "equal jitter" of Brooker, Exponential Backoff And Jitter (AWS Architecture Blog, 2015): a hundred
    cameras don't come back at the same moment. `jitter` gives numbers in [0, 1).
    """

    first: float = 1.0
    longest: float = 60.0
    jitter: Callable[[], float] = random.random

    def after(self, failures: int) -> float:
        """Return how long to wait after so many failures in a row, 1 or more."""
        whole = min(self.longest, self.first * 2.0 ** min(failures - 1, _LONGEST_EXPONENT))
        return whole / 2 + self.jitter() * whole / 2


class Delivery(Generic[Item]):
    """A queue of at most `capacity` items, and the thread that sends them, in order.

    When it is full the oldest item is dropped; with `wait`, for sources that can wait, `put` does instead.
    Trouble is said once when it begins, and again when it is over. Nothing is printed by close(): it returns
    a number.
    """

    def __init__(
        self,
        receiver: str,
        send: Callable[[Item], None],
        report: Callable[[str], None],
        capacity: int = CAPACITY,
        pauses: Pauses | None = None,
        wait: bool = False,
    ) -> None:
        """Start the thread. `receiver` is its name in remarks; `send` raises Retry or Refused."""
        self._receiver, self._send, self._report = receiver, send, report
        self._capacity, self._pauses, self._wait = capacity, pauses or Pauses(), wait
        self._changed = threading.Condition()  # Guards the next four.
        self._waiting: deque[Item] = deque()
        self._in_hand = 0
        self._overflow = 0  # Dropped since the receiver stopped keeping up.
        self._lost = 0  # Dropped and refused, in all.
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._said: set[str] = set()
        self._refusals: set[str] = set()
        self._thread = threading.Thread(target=self._work, name=f"delivery to {receiver}", daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Queue an item; once close() was called it is dropped, and counted."""
        with self._changed:
            while self._wait and len(self._waiting) >= self._capacity and not self._closing.is_set():
                self._changed.wait()
            if self._closing.is_set():
                self._lost += 1
                return
            overflows = len(self._waiting) >= self._capacity
            if overflows:
                self._waiting.popleft()
                self._lost += 1
                self._overflow += 1
            begins = overflows and self._overflow == 1
            self._waiting.append(item)
            self._changed.notify_all()
        if begins:
            self._report(f"{self._receiver} does not keep up: the oldest results are dropped")

    def close(self, timeout: float = 5.0) -> int:
        """Send what is left for at most `timeout` seconds; return how many items never arrived, in all."""
        with self._changed:
            self._deadline = min(self._deadline, time.monotonic() + timeout)
            self._closing.set()
            self._changed.notify_all()
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        with self._changed:
            return self._lost + self._in_hand + len(self._waiting)

    def say_once(self, trouble: str) -> None:
        """Report what is wrong with the receiver, unless that was said since it last took something."""
        with self._changed:
            known = trouble in self._said
            self._said.add(trouble)
        if not known:
            kept = f"The last {self._capacity} results are kept, and sent when it takes them"
            self._report(f"{self._receiver} {trouble}. {kept}")

    def say_recovery(self) -> None:
        """Report that the receiver is back, if there was trouble."""
        with self._changed:
            recovered = bool(self._said)
            self._said.clear()
        if recovered:
            self._report(f"{self._receiver} takes results again")

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing.is_set():
                    self._changed.wait()
                if not self._waiting or self._expired():
                    return
                item = self._waiting.popleft()
                self._in_hand = 1
                self._changed.notify_all()
            if not self._deliver(item):
                return

    def _deliver(self, item: Item) -> bool:
        """Try until the item is sent or refused; False when time is up before."""
        failures = 0
        while not self._expired():
            try:
                self._send(item)
            except Retry as retry:
                failures += 1
                if retry.reason:
                    self.say_once(retry.reason)
                self._pause(self._pauses.after(failures) if retry.pause is None else retry.pause)
            except Refused as refused:
                self._note_refusal(refused.reason)
                return True
            else:
                self._note_success()
                return True
        return False

    def _pause(self, seconds: float) -> None:
        """Wait; closing ends the wait once, so that a receiver that is back gets what is left."""
        if not self._closing.is_set():
            self._closing.wait(seconds)
        else:
            time.sleep(max(0.0, min(seconds, self._deadline - time.monotonic())))

    def _expired(self) -> bool:
        return time.monotonic() >= self._deadline

    def _note_refusal(self, reason: str) -> None:
        with self._changed:
            self._in_hand = 0
            self._lost += 1
        if reason not in self._refusals:
            self._refusals.add(reason)
            self._report(f"{self._receiver} {reason}. What it refuses is not sent again")

    def _note_success(self) -> None:
        with self._changed:
            self._in_hand = 0
            dropped = self._overflow if not self._waiting else 0
            if dropped:
                self._overflow = 0
        self.say_recovery()
        if dropped:
            self._report(f"{self._receiver} has caught up; results that it never got: {dropped}")
