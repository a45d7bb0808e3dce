"""The parent's side of a child process that is not trusted: its start, its limits, its messages, its end.

The child is trusted no more than what it reads: its messages have a fixed form and a limited size
(messages.py). It gets neither the environment nor open files, and gives up what it can (sandbox.py).
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from ..processes import Process, plain_environment, python_command
from .deadlines import Deadlines
from .messages import (
    ERROR,
    MAX_JSON_BYTES,
    READY,
    BrokenMessageError,
    ChildFailure,
    parse_failure,
    read_message,
    write_message,
)

START = "from MODULE import main; main()"
_STDERR_BYTES = 64 * 1024


_Start = tuple[list[str], dict[str, str], "SimpleQueue[Process | Exception]"]


class _Starter:
    """Starts all children in one thread, which ends with this process.

    The system ends a child with the thread that started it (child_pipes.py), and others may end
    long before their models.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: SimpleQueue[_Start] = SimpleQueue()
        self._process = 0

    def start(self, command: list[str], environment: dict[str, str]) -> Process:
        """Start a child with pipes; raises OSError where that fails."""
        with self._lock:
            if self._process != os.getpid():  # A process that was forked has no threads of its parent's.
                self._asked, self._process = SimpleQueue(), os.getpid()
                threading.Thread(target=self._work, args=(self._asked,), name="children", daemon=True).start()
        begun: SimpleQueue[Process | Exception] = SimpleQueue()
        self._asked.put((command, environment, begun))
        child = begun.get()
        if isinstance(child, Exception):
            raise child
        return child

    @staticmethod
    def _work(asked: SimpleQueue[_Start]) -> None:
        while True:
            command, environment, begun = asked.get()
            try:
                begun.put(Process(command, environment))
            except Exception as error:  # Raised in the thread that waits for it.
                begun.put(error)


_starter = _Starter()
_deadlines = Deadlines()


class ReportedError(Exception):
    """The child reported an error, and goes on."""

    def __init__(self, failure: ChildFailure) -> None:
        """Keep the name of a class in errors.py, and the text."""
        super().__init__(failure.text)
        self.failure = failure


class ChildEndedError(Exception):
    """The child has ended, or was ended; the text is a sentence for the user."""


class IsolatedProcess:
    """A child process that runs `main` of a module of this package. Not thread-safe.

    `job` names what runs in it, such as "interpreter"; `subject` what it reads, and may be changed at any
    time: both appear in messages. `memory` are the bytes that it may ask for.
    """

    def __init__(self, module: str, job: str, memory: int, subject: str) -> None:
        """Start the child, without waiting for it."""
        self.subject = subject
        self._job, self._memory = job, memory
        self._timed_out = False
        code = START.replace("MODULE", f"{__package__}.{module}")
        # numpy's linear algebra is not used: its threads would only take memory, and outlive the sandbox.
        self._child = _starter.start(python_command(code), plain_environment(OPENBLAS_NUM_THREADS="1"))

    def send(self, kind: bytes, payload: bytes) -> None:
        """Send a message; raises OSError or EOFError when the child has ended."""
        write_message(self._child.stdin, kind, payload)

    def send_json(self, content: dict[str, Any]) -> None:
        """Send a READY message."""
        self.send(READY, json.dumps(content).encode())

    def receive(self, kind: bytes, limit: int) -> bytes:
        """Wait for a message of this kind and of at most `limit` bytes.

        Raises ReportedError where the child reports an error instead, and BrokenMessageError.
        """
        found, raw = read_message(self._child.stdout, max(limit, MAX_JSON_BYTES))
        if found == ERROR:
            raise ReportedError(parse_failure(raw))
        if found != kind or len(raw) > limit:
            raise BrokenMessageError(f"message {found!r} of {len(raw)} bytes")
        return raw

    def receive_exactly(self, kind: bytes, size: int) -> bytes:
        """Wait for a message of this kind and of `size` bytes; raises as `receive`."""
        raw = self.receive(kind, size)
        if len(raw) != size:
            raise BrokenMessageError(f"{len(raw)} bytes of {size}")
        return raw

    @contextmanager
    def time_limit(self, seconds: float, purpose: str) -> Iterator[None]:
        """Kill the child unless the block ends in time.

        Raises ReportedError as the block does, and ChildEndedError, when the child is gone, for a crash, for
        too much time or memory, and for a broken message.
        """
        ticket = _deadlines.begin(seconds, self._kill_late)
        try:
            yield
        except (EOFError, OSError):
            reason = self._why_it_died(seconds, purpose)
            self.close()
            raise ChildEndedError(reason) from None
        except BrokenMessageError as error:
            self.close()
            reason = f"{self.subject} made the {self._job}'s process send a broken message ({error})"
            raise ChildEndedError(reason) from None
        finally:
            _deadlines.end(ticket)

    def close(self) -> None:
        """End the child; a second call does nothing."""
        self._child.kill()
        self._child.close_streams()

    def __del__(self) -> None:
        if hasattr(self, "_child"):  # There is none where it could not be started.
            self.close()

    def _kill_late(self) -> None:
        self._timed_out = True
        self._child.send_signal(signal.SIGKILL)

    def _why_it_died(self, seconds: float, purpose: str) -> str:
        status = self._child.wait(seconds)
        if status is None:
            status = self._child.kill()
        if self._timed_out or status == -getattr(signal, "SIGALRM", 0):
            return f"{self.subject} was stopped: it took longer than {seconds:g} seconds {purpose}"
        output = self._read_stderr()
        if "bad_alloc" in output or "MemoryError" in output:
            limit = f"{self._memory // 2**20} MiB"
            return f"{self.subject} was stopped: it asked for more than {limit} of memory"
        if status >= 0:
            reason = (output.splitlines() or ["it printed nothing"])[-1][:200]
            ended = f"the {self._job}'s process ended with exit status {status}"
            return f"{self.subject}: {ended} ({reason})"
        name = signal.Signals(-status).name
        hint = ", perhaps for lack of memory" if name == "SIGKILL" else ""
        crashed = f"{self.subject} crashed the {self._job} ({name}{hint})"
        return f"{crashed}. It is damaged or hostile: do not use it"

    def _read_stderr(self) -> str:
        if self._child.stderr is None:
            return ""
        return os.read(self._child.stderr.fileno(), _STDERR_BYTES).decode(errors="replace")
