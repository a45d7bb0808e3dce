"""The protocol of all outputs."""

from __future__ import annotations

from typing import Protocol

from ..answers.result import FrameResult


class Output(Protocol):
    """Takes results in the order of their frames.

    `failed` is the number of lost results; it is final after close().
    """

    failed: int

    def show(self, result: FrameResult) -> None:
        """Take one result, or one frame's error.

        Must not wait for a network. Raises StopRunning when the user has ended the run, for example by
        closing the window.
        """
        ...

    def close(self) -> None:
        """Finish; called once, also after Ctrl-C."""
        ...


class StopRunning(Exception):
    """The user has ended the run."""
