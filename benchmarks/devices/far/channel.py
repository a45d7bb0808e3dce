"""Requests on stdin, replies on stdout: one JSON object a line, each reply behind a mark.

Other text on stdout comes from login scripts; it has no mark.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from typing import Any

_STDIN, _STDOUT = 0, 1
_BLOCK = 1 << 16
BEAT_SECONDS = 5.0  # Time between the signs of life of a step that takes long.


class Interrupted(Exception):
    """Another request came, or the connection ended, before the last one was answered."""


class Channel:
    """The agent's end of the connection."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._pending = b""
        self._request = 0
        self._last_sent = 0.0

    def receive(self) -> dict[str, Any] | None:
        """Wait for a request and return it; None where the connection has ended."""
        while b"\n" not in self._pending:
            block = os.read(_STDIN, _BLOCK)
            if not block:
                return None
            self._pending += block
        line, self._pending = self._pending.split(b"\n", 1)
        request: dict[str, Any] = json.loads(line)
        self._request = request["request"]
        return request

    def read(self, most: int) -> bytes:
        """Return up to `most` of the bytes that follow a request; raises SystemExit where they end early."""
        block = self._pending[:most] or os.read(_STDIN, min(most, _BLOCK))
        self._pending = self._pending[most:]
        if not block:
            sys.exit("the connection ended")
        return block

    def send(self, **fields: Any) -> None:
        """Send a part of the answer to the last request; the last part says `done`."""
        line = f"{self._mark}{json.dumps({'request': self._request, **fields})}\n".encode()
        while line:
            line = line[os.write(_STDOUT, line) :]
        self._last_sent = time.monotonic()

    def interrupted(self, seconds: float) -> bool:
        """Wait for `seconds`, and return whether another request came, or the connection ended.

        Sends a sign of life where none was sent for BEAT_SECONDS.
        """
        if time.monotonic() - self._last_sent > BEAT_SECONDS:
            self.send(beat=True)
        return bool(self._pending) or bool(select.select([_STDIN], [], [], seconds)[0])
