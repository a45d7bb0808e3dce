"""The protocol of everything that takes answers."""

from __future__ import annotations

from typing import Protocol

from ..answers.result import Result


class Output(Protocol):
    """Takes results in the order of their frames.

    `failed` is how many of them were lost on the way; it is known after close().
    """

    failed: int

    def show(self, result: Result) -> None:
        """Take one result, or one frame's error.

        Must not wait for a network. Raises StopRunning when the user asked for an end, as by closing the
        window.
        """
        ...

    def close(self) -> None:
        """Finish what is under way; called once, also after Ctrl-C."""
        ...


class StopRunning(Exception):
    """The user has seen enough."""
