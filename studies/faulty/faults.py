"""When a server fails, and how: the same for the same seed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """A way to fail, and when: seconds after the start."""

    kind: str
    begin: float
    end: float


def plan_faults(
    kinds: Sequence[str],
    seconds: float,
    lasting: tuple[float, float],
    between: tuple[float, float],
    seed: int,
) -> list[Fault]:
    """Return faults of all kinds in turn, with times without a fault between, before and after them.

    `lasting` and `between` are the shortest and the longest time in seconds. The last quarter of a minute, or
    of the time where that is less, is without a fault, so that what was kept can arrive.
    """
    chance = random.Random(seed)
    faults: list[Fault] = []
    at = chance.uniform(*between)
    while True:
        end = at + chance.uniform(*lasting)
        if end > seconds - min(60.0, seconds / 4):
            return faults
        faults.append(Fault(kinds[len(faults) % len(kinds)], at, end))
        at = end + chance.uniform(*between)


def follow(faults: Sequence[Fault], change: Callable[[str], None], stopping: threading.Event) -> None:
    """Call `change` with the kind of each fault when it begins, and with "" when it ends, in a thread."""

    def work() -> None:
        began = time.monotonic()
        for fault in faults:
            for kind, when in ((fault.kind, fault.begin), ("", fault.end)):
                if stopping.wait(max(0.0, began + when - time.monotonic())):
                    return
                change(kind)

    threading.Thread(target=work, daemon=True).start()
