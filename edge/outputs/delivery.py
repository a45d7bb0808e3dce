"""Sends results to a receiver that may be slow or absent, without ever blocking the camera."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from .losses import SILENCE, Losses, Remembered

Item = TypeVar("Item")

_LONGEST_EXPONENT = 30
_OVERHEAD = 300  # Bytes of Python's objects around an item.
_MOST_TRIES = 3
TOO_SLOW = "does not keep up: the oldest results are dropped"


class Retry(Exception):
    """The receiver cannot take the item now: it will be sent again.

    `reason` is a phrase that follows the receiver's name, such as "answers 503"; empty where it was reported
    already. `pause` is the time in seconds that the receiver asked to wait; None leaves it to Pauses.
    `reached` is whether the receiver got the item, which then may be what it fails at.
    """

    def __init__(self, reason: str, pause: float | None = None, reached: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.pause, self.reached = reason, pause, reached


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

    first: float = 0.5
    longest: float = 16.0
    jitter: Callable[[], float] = random.random

    def after(self, failures: int) -> float:
        """Return how long to wait after this number of failures in a row, at least 1."""
        whole = min(self.longest, self.first * 2.0 ** min(failures - 1, _LONGEST_EXPONENT))
        return whole / 2 + self.jitter() * whole / 2


class Kept(NamedTuple):
    """What is kept for a receiver that is away: at most `size` bytes, none older than `age` seconds.

    An item that reached the receiver three times in vain, and for `trying` seconds, is given up. With
    `waits`, for sources that can wait, nothing is dropped: `put` waits for room.
    """

    size: int
    age: float
    trying: float
    waits: bool


LIVE = Kept(16 * 2**20, 300.0, 10.0, waits=False)
FILES = Kept(256 * 2**10, float("inf"), 300.0, waits=True)


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Item]):
    item: Item
    size: int
    time: float


class Delivery(Generic[Item]):
    """A bounded queue, and the thread that sends its items in order.

    A problem is reported once when it begins, and again when it is over; so are losses. close() reports
    nothing: it returns the number of lost items.
    """

    def __init__(
        self,
        receiver: str,
        send: Callable[[Item], None],
        report: Callable[[str], None],
        kept: Kept = LIVE,
        pauses: Pauses | None = None,
        size_of: Callable[[Any], int] = len,
        abort: Callable[[], None] = lambda: None,
        silence: float = SILENCE,
    ) -> None:
        """Start the thread.

        `receiver` is the name in remarks. `send` raises Retry or Refused, and ends at once after `abort`.
        `size_of` returns an item's size in bytes. What begins and ends again and again is said once in
        `silence` seconds.
        """
        self._receiver, self._send, self._report = receiver, send, report
        self._kept, self._pauses, self._size_of, self._abort = kept, pauses or Pauses(), size_of, abort
        self._losses = Losses(receiver, report, silence)
        self._troubles = Remembered(silence)
        self._changed = threading.Condition()  # Guards the next three attributes, and the troubles.
        self._waiting: deque[_Entry[Item]] = deque()
        self._size = 0  # Of all that are waiting.
        self._in_hand = 0  # 1 while an item is being sent.
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._failures = 0  # In a row.
        self._thread = threading.Thread(target=self._work, name=f"delivery to {receiver}", daemon=True)
        self._thread.start()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to be sent."""
        with self._changed:
            return not self._waiting and not self._in_hand

    def put(self, item: Item) -> None:
        """Queue an item; after close() it is dropped and counted."""
        size = self._size_of(item) + _OVERHEAD
        with self._changed:
            while self._kept.waits and not self._has_room(size) and not self._closing.is_set():
                self._changed.wait()
            closed = self._closing.is_set()
            dropped = 1 if closed else self._make_room(size)
            if not closed:
                self._waiting.append(_Entry(item, size, time.monotonic()))
                self._size += size
                self._changed.notify_all()
        self._losses.add(dropped, TOO_SLOW)

    def close(self, timeout: float = 5.0) -> int:
        """Send the remaining items for at most `timeout` seconds; return how many never arrived in all."""
        with self._changed:
            self._deadline = min(self._deadline, time.monotonic() + timeout)
            self._closing.set()
            self._changed.notify_all()
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        if self._thread.is_alive():
            self._abort()
            self._thread.join(1.0)
        with self._changed:
            return self._losses.total + self._in_hand + len(self._waiting)

    def report_once(self, trouble: str) -> None:
        """Report a problem with the receiver, unless it was reported since the last success."""
        with self._changed:
            is_new = self._troubles.is_new(trouble)
        if is_new:
            age = self._kept.age
            kept = f"Results of the last {age / 60:g} minutes" if age < float("inf") else "Results"
            self._report(f"{self._receiver} {trouble}. {kept} are kept, and sent when it takes them")

    def report_recovery(self) -> None:
        """Report that the receiver works again, if a problem was reported before."""
        with self._changed:
            recovered = self._troubles.end()
        if recovered:
            self._report(f"{self._receiver} takes results again")

    def _has_room(self, size: int) -> bool:
        return not self._waiting or self._size + size <= self._kept.size

    def _make_room(self, size: int) -> int:
        """Drop the oldest items for one of `size` bytes, and those that are too old; return how many."""
        dropped = 0
        while self._waiting and not (self._has_room(size) and self._is_fresh(self._waiting[0])):
            self._size -= self._waiting.popleft().size
            dropped += 1
        return dropped

    def _is_fresh(self, entry: _Entry[Item]) -> bool:
        return time.monotonic() - entry.time < self._kept.age

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing.is_set():
                    self._changed.wait()
                if not self._waiting or self._expired():
                    return
                entry = self._waiting.popleft()
                self._size -= entry.size
                self._in_hand = 1
                self._changed.notify_all()
            if not self._deliver(entry):
                return

    def _deliver(self, entry: _Entry[Item]) -> bool:
        """Try until the item is sent or lost; return False when the time is up before."""
        began, tries = time.monotonic(), 0
        while not self._expired():
            if not self._is_fresh(entry):
                self._note_loss(TOO_SLOW)
                return True
            retry = self._attempt(entry.item)
            if retry is None:
                return True
            if self._expired():  # Its failure may be that it was ended.
                return False
            if retry.reason:
                self.report_once(retry.reason)
            tries += retry.reached
            if tries >= _MOST_TRIES and time.monotonic() - began >= self._kept.trying:
                self._note_loss(f"{retry.reason}. A result that it got {_MOST_TRIES} times is given up")
                return True
            self._failures += 1
            self._pause(self._pauses.after(self._failures) if retry.pause is None else retry.pause)
        return False

    def _attempt(self, item: Item) -> Retry | None:
        """Send an item; return why it is to be sent again, and None where it is done with."""
        try:
            self._send(item)
        except Retry as retry:
            return retry
        except Refused as refused:
            self._note_loss(f"{refused.reason}. Refused results are not sent again")
        except Exception as error:  # The thread must not end: nothing would be sent or said any more.
            self._note_loss(f"gets no result, by a fault of this program ({type(error).__name__}: {error})")
        else:
            self._note_success()
        return None

    def _pause(self, seconds: float) -> None:
        """Wait; close() ends the wait once, so that a receiver that works again gets the remaining items."""
        if not self._closing.is_set():
            self._closing.wait(seconds)
        else:
            time.sleep(max(0.0, min(seconds, self._deadline - time.monotonic())))

    def _expired(self) -> bool:
        return time.monotonic() >= self._deadline

    def _note_loss(self, reason: str) -> None:
        with self._changed:
            self._in_hand = 0
        self._losses.add(1, reason)

    def _note_success(self) -> None:
        self._failures = 0
        with self._changed:
            self._in_hand = 0
            is_idle = not self._waiting
        self.report_recovery()
        if is_idle:
            self._losses.tell()
