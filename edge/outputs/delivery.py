"""Sends results to a receiver that may be slow or absent, without ever blocking the camera."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

# Eight seconds at 30 frames/s; 18 MB for results of 1,000 classes (about 70 kB each).
CAPACITY = 256
_LONGEST_EXPONENT = 30


class Retry(Exception):
    """The receiver cannot take the item now: it will be sent again.

    `reason` is a phrase that follows the receiver's name, such as "answers 503"; empty where it was reported
    already. `pause` is the time in seconds that the receiver asked to wait; None leaves it to Pauses.
    """

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.pause = reason, pause


class Refused(Exception):
    """The receiver will never take this item, and the next one is sent. `reason` is as in Retry."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Pauses:
    """Seconds between attempts, doubled from `first` to `longest`, of which half is random.

    This is "equal jitter" of Brooker, Exponential Backoff And Jitter (AWS Architecture Blog, 2015), so that a
    hundred cameras don't return at the same moment. `jitter` returns numbers in [0, 1).
    """

    first: float = 1.0
    longest: float = 60.0
    jitter: Callable[[], float] = random.random

    def after(self, failures: int) -> float:
        """Return how long to wait after this number of failures in a row, at least 1."""
        whole = min(self.longest, self.first * 2.0 ** min(failures - 1, _LONGEST_EXPONENT))
        return whole / 2 + self.jitter() * whole / 2


class Delivery(Generic[Item]):
    """A queue of at most `capacity` items, and the thread that sends them in order.

    When it is full the oldest item is dropped; with `wait`, for sources that can wait, `put` waits instead. A
    problem is reported once when it begins, and again when it is over. close() reports nothing: it returns
    the number of lost items.
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
        """Start the thread. `receiver` is the name in remarks; `send` raises Retry or Refused."""
        self._receiver, self._send, self._report = receiver, send, report
        self._capacity, self._pauses, self._wait = capacity, pauses or Pauses(), wait
        self._changed = threading.Condition()  # Guards the next four attributes.
        self._waiting: deque[Item] = deque()
        self._in_hand = 0  # 1 while an item is being sent.
        self._overflow = 0  # Items dropped since the receiver became too slow.
        self._lost = 0  # Items dropped and refused in all.
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._said: set[str] = set()
        self._refusals: set[str] = set()
        self._thread = threading.Thread(target=self._work, name=f"delivery to {receiver}", daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Queue an item; after close() it is dropped and counted."""
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
        """Send the remaining items for at most `timeout` seconds; return how many never arrived in all."""
        with self._changed:
            self._deadline = min(self._deadline, time.monotonic() + timeout)
            self._closing.set()
            self._changed.notify_all()
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        with self._changed:
            return self._lost + self._in_hand + len(self._waiting)

    def report_once(self, trouble: str) -> None:
        """Report a problem with the receiver, unless it was reported since the last success."""
        with self._changed:
            known = trouble in self._said
            self._said.add(trouble)
        if not known:
            kept = f"The last {self._capacity} results are kept, and sent when it takes them"
            self._report(f"{self._receiver} {trouble}. {kept}")

    def report_recovery(self) -> None:
        """Report that the receiver works again, if a problem was reported before."""
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
        """Try until the item is sent or refused; return False when the time is up before."""
        failures = 0
        while not self._expired():
            try:
                self._send(item)
            except Retry as retry:
                failures += 1
                if retry.reason:
                    self.report_once(retry.reason)
                self._pause(self._pauses.after(failures) if retry.pause is None else retry.pause)
            except Refused as refused:
                self._note_refusal(refused.reason)
                return True
            else:
                self._note_success()
                return True
        return False

    def _pause(self, seconds: float) -> None:
        """Wait; close() ends the wait once, so that a receiver that works again gets the remaining items."""
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
            self._report(f"{self._receiver} {reason}. Refused results are not sent again")

    def _note_success(self) -> None:
        with self._changed:
            self._in_hand = 0
            dropped = self._overflow if not self._waiting else 0
            if dropped:
                self._overflow = 0
        self.report_recovery()
        if dropped:
            self._report(f"{self._receiver} has caught up; results that it never received: {dropped}")
