"""Waiting for a condition instead of for a time, since the machine that tests may be busy."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 60.0  # Seconds that a busy machine may take for what is done at once otherwise.


def wait_until(condition: Callable[[], object], what: str = "the condition is true") -> None:
    """Wait until the condition is true; an AssertionError says what was waited for."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited for {PATIENCE:g} s in vain until {what}"
        time.sleep(0.005)
