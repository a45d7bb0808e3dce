"""What is said of a receiver in trouble, and how many results it never gets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

# Seconds: what begins and ends again and again is not said more often.
SILENCE = 60.0


class Remembered:
    """Remembers what was said of a trouble, so that it is said once until the trouble has ended.

    Of what begins and ends again and again the beginning is said once in `silence` seconds.
    """

    def __init__(self, silence: float = SILENCE) -> None:
        """Begin without trouble."""
        self._silence = silence
        self._said: dict[str, float] = {}
        self._ended = float("-inf")
        self._in_trouble = False

    def is_new(self, text: str) -> bool:
        """Return whether the text is to be said now, which then counts as done."""
        now = time.monotonic()
        said = self._said.get(text)
        if said is not None and (said > self._ended or now < said + self._silence):
            return False
        self._said[text] = now
        self._in_trouble = True
        return True

    def end(self) -> bool:
        """End the trouble; return whether any was said since the last end."""
        was_in_trouble, self._in_trouble = self._in_trouble, False
        if was_in_trouble:
            self._ended = time.monotonic()
        return was_in_trouble


class Losses:
    """Lost results of one receiver; any thread may call it.

    A loss is said at once with its reason, and the number when the receiver has caught up. What comes again
    within `silence` seconds is only counted, and told with the next number.
    """

    def __init__(self, receiver: str, report: Callable[[str], None], silence: float = SILENCE) -> None:
        """Begin without losses; `receiver` is the name in remarks."""
        self._receiver, self._report, self._silence = receiver, report, silence
        self._changing = threading.Lock()
        self._reasons = Remembered(silence)
        self._untold = 0
        self._told_at = float("-inf")
        self.total = 0

    def add(self, count: int, reason: str) -> None:
        """Count lost results; `reason` is a phrase that follows the receiver's name."""
        if not count:
            return
        with self._changing:
            self._untold += count
            self.total += count
            is_new = self._reasons.is_new(reason)
        if is_new:
            self._report(f"{self._receiver} {reason}")

    def tell(self) -> None:
        """Say how many were lost, if any were; to be called when nothing is waiting any more."""
        with self._changing:
            now = time.monotonic()
            if not self._untold or now < self._told_at + self._silence:
                return
            self._reasons.end()
            self._told_at = now
            count, self._untold = self._untold, 0
        self._report(f"{self._receiver} has caught up; results that it never received: {count}")
