"""The driver's half of the conversation with a peer's process."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studies.peers.environments import child_variables
from studies.peers.errors import PeerError

_TIMEOUT_S = 600.0
_PATIENCE_S = 10.0


class Conversation:
    """A peer's process. It stands still (SIGSTOP) but while it is asked something.

    So its idle threads, some of which spin, take nothing from the one whose turn it is.
    """

    def __init__(self, command: Sequence[str | Path], timeout: float = _TIMEOUT_S) -> None:
        """Start it, and wait for its first line, which is `hello`; raises PeerError."""
        self._timeout = timeout
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # Closed in close().
        self._unread = b""
        try:
            # A process group of its own: Ctrl-C is the driver's business, and children stand still too. Not a
            # session of its own: when the driver is killed, the system ends groups of its session that stand
            # still. (The argument process_group came with Python 3.11.)
            self._process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                env=child_variables(), preexec_fn=os.setpgrp,  # noqa: PLW1509
            )  # fmt: skip
        except OSError as error:
            self._errors.close()
            raise PeerError(f"it cannot be started: {error}") from None
        try:
            self.hello = self._hear()
        except BaseException:
            self.close()
            raise

    def ask(self, do: str, **details: Any) -> dict[str, Any]:
        """Return the answer to a request; raises PeerError, after which the process is gone."""
        assert self._process.stdin is not None
        self._signal(signal.SIGCONT)
        try:
            self._process.stdin.write(json.dumps({"do": do, **details}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            pass  # Its last words say why.
        try:
            return self._hear()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the process and what it started."""
        self._signal(signal.SIGKILL)
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            with contextlib.suppress(OSError):  # What was not yet written to a dead process.
                if stream is not None:
                    stream.close()
        self._process.wait(_PATIENCE_S)

    def _hear(self) -> dict[str, Any]:
        line = self._read_line()
        self._signal(signal.SIGSTOP)
        try:
            answer = json.loads(line)
        except ValueError:
            raise PeerError(f"it said what is no JSON: {line[:80]!r}") from None
        if not isinstance(answer, dict):
            raise PeerError(f"it said what is no answer: {line[:80]!r}")
        if "error" in answer:
            raise PeerError(str(answer["error"]))
        return answer

    def _read_line(self) -> bytes:
        assert self._process.stdout is not None
        deadline = time.monotonic() + self._timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                if not selector.select(deadline - time.monotonic()):
                    raise PeerError(f"it did not answer within {self._timeout:g} s")
                read = os.read(self._process.stdout.fileno(), 1 << 16)
                if not read:
                    raise PeerError(self._last_words())
                self._unread += read
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _last_words(self) -> str:
        status = self._process.wait(_PATIENCE_S)
        if status < 0:
            return f"it was ended by {signal.Signals(-status).name}"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"it ended with status {status}"

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:  # Else the number may be another's by now.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
