"""Waiting for a condition, not for a time, since the machine that runs the tests may be busy."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 60.0  # Seconds; enough on the busiest machine.


def wait_until(condition: Callable[[], object], what: str = "the condition is true") -> None:
    """Wait until the condition is true; an AssertionError says what was waited for."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited for {PATIENCE:g} s in vain until {what}"
        time.sleep(0.005)
