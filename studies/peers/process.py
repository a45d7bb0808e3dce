"""A peer's process, as run.py sees it; scripts/serve.py is the other side."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_classify.edge.children import Child, Reply

from studies.peers.environments import child_variables
from studies.peers.errors import PeerError

_TIMEOUT_S = 600.0


class PeerProcess:
    """A peer's process, which is stopped (SIGSTOP) except while it answers a question.

    So its idle threads, some of which spin, take nothing from the peer whose turn it is.
    """

    def __init__(self, command: Sequence[str | Path], timeout: float = _TIMEOUT_S) -> None:
        """Start it, and wait for its first line, which is kept as `facts`; raises PeerError."""
        self._timeout = timeout
        try:
            # A process group of its own: Ctrl-C is for the driver, and processes that it starts stop too.
            self._child = Child([str(word) for word in command], child_variables())
        except OSError as error:
            raise PeerError(f"it cannot be started: {error}") from None
        self.pid = self._child.pid
        try:
            self.facts = self._checked(self._child.receive(timeout))
        except BaseException:
            self.close()
            raise

    def ask(self, do: str, **details: Any) -> dict[str, Any]:
        """Return the answer to a request; raises PeerError, after which the process is gone."""
        self._child.send_signal(signal.SIGCONT)
        return self._checked(self._child.ask({"do": do, **details}, self._timeout))

    def close(self) -> None:
        """End the process and what it started."""
        self._child.kill()

    def _checked(self, reply: Reply) -> dict[str, Any]:
        if reply.answer is not None and "error" not in reply.answer:
            self._child.send_signal(signal.SIGSTOP)
            return reply.answer
        self.close()
        raise PeerError(f"it {reply.reason}" if reply.answer is None else str(reply.answer["error"]))
