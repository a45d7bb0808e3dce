"""Child processes that answer questions, for code that may crash or hang the process that runs it.

A wheel for another processor ends in SIGILL, a window library without a display in abort(), and a camera's
driver may never return. Questions and answers are JSON objects, one on each line; what else a child prints is
skipped. `child_loop.py` is the child's side.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import IO, Any

from .json_files import JsonError, parse_json

_START = "import sys; sys.path[:] = filter(None, sys.path)\n"
_GRACE_S = 2.0  # How long a child may take to end when its standard input has ended.
_KEPT_BYTES = 4096  # Of the end of what it wrote to stderr.


@dataclass(frozen=True)
class Reply:
    """A child's answer; where there is none, `reason` goes on from "it", as "was killed by SIGILL" does."""

    answer: dict[str, Any] | None
    reason: str = ""


def ask(code: str, *arguments: str, timeout: float, question: Mapping[str, Any] | None = None) -> Reply:
    """Run Python code in a child process, and return the JSON object that it prints.

    `timeout` is in seconds: for the answer, and again for the end of the process, since a driver may crash
    then. The code finds `arguments` in sys.argv, where every user of the machine can read them, and
    `question` on standard input:

        ask("import json; print(json.dumps({'sum': 1 + 1}))", timeout=5).answer  # {"sum": 2}
        ask("import os; os.abort()", timeout=5).reason  # "was killed by SIGABRT"
    """
    child = Child(python_command(code, *arguments))
    try:
        if question is not None:
            child.send(question)
        reply = child.receive(timeout)
        failure = child.wait(timeout) if reply.answer is not None else None
        return reply if failure is None else Reply(None, failure)
    finally:
        child.kill()


def python_command(code: str, *arguments: str) -> list[str]:
    """Return the command that runs Python code without the working folder on its path.

    A user's numpy.py there must not be imported.
    """
    return [sys.executable, "-c", _START + code, *arguments]


def describe_end(status: int, errors: str) -> str:
    """Return why a process ended without an answer, by its exit status and what it wrote to stderr."""
    if status < 0:
        return f"was killed by {_signal_name(-status)}"
    lines = errors.strip().splitlines()
    if lines:
        return f"failed ({lines[-1].strip()})"
    return f"failed (exit status {status})" if status else "ended without an answer"


class Child:
    """A process that answers questions, one after the other; it has ended after a reply without an answer.

        child = Child(python_command("from package.module import main; main()"))
        child.ask({"add": [1, 2]}, limit_s=30).answer
        child.close()

    The constructor does not wait, so that several children may start at the same time.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, own_group: bool = False
    ) -> None:
        """Start the process; raises OSError where that fails.

        `environment` holds all its variables, None for those of this process. With `own_group`, Ctrl-C does
        not reach it, and signals reach the processes that it starts as well.
        """
        # Not a session of its own: the system ends a process that is stopped when its session's last parent
        # is killed. (The argument process_group came with Python 3.11.)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            preexec_fn=os.setpgrp if own_group else None,  # noqa: PLW1509 - It takes no lock.
        )
        self.pid = self._process.pid
        self._own_group = own_group
        self._answers: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._errors = b""
        # A pipe that nobody reads would stop a runtime that writes a lot.
        self._readers = [
            _start_reader(self._process.stdout, self._keep_answer, lambda: self._answers.put(None)),
            _start_reader(self._process.stderr, self._keep_errors, lambda: None),
        ]

    def ask(self, question: Mapping[str, Any], limit_s: float) -> Reply:
        """Send a question and wait for its answer, for at most `limit_s` seconds."""
        self.send(question)
        return self.receive(limit_s)

    def send(self, question: Mapping[str, Any]) -> None:
        """Send a question without waiting for the answer."""
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):  # The process has ended: the reply will say why.
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()

    def receive(self, limit_s: float) -> Reply:
        """Wait for the next answer, for at most `limit_s` seconds."""
        try:
            answer = self._answers.get(timeout=limit_s)
        except Empty:
            self.kill()
            return Reply(None, f"gave no answer within {round(limit_s, 1):g} seconds")
        if answer is None:
            self._answers.put(None)  # For the next question.
            return Reply(None, self._why_it_ended())
        return Reply(answer)

    def close_stdin(self) -> None:
        """End its standard input, whereupon it ends; this does not wait for it."""
        assert self._process.stdin is not None
        with suppress(OSError):  # What could not be written because the process had ended.
            self._process.stdin.close()

    def wait(self, limit_s: float) -> str | None:
        """End its standard input and wait for it; returns why it ended too late or by a crash, else None."""
        self.close_stdin()
        try:
            status = self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return f"did not end within {limit_s:g} seconds"
        return describe_end(status, "") if status < 0 else None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens where the process has ended."""
        if not self._own_group:
            self._process.send_signal(number)
        elif self._process.returncode is None:  # Else the number may be another process's by now.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def close(self) -> None:
        """Let the process end, or kill it after a while; may be called twice."""
        self.wait(_GRACE_S)
        self.kill()

    def kill(self) -> None:
        """End the process at once; may be called twice."""
        if self._own_group:
            self.send_signal(signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self.close_stdin()
        for reader in self._readers:
            reader.join(_GRACE_S)  # A process that it started may still hold the pipe.

    def _keep_answer(self, line: bytes) -> None:
        with suppress(JsonError):
            answer = parse_json(line, finite=False)
            if isinstance(answer, dict):
                self._answers.put(answer)

    def _keep_errors(self, line: bytes) -> None:
        self._errors = (self._errors + line)[-_KEPT_BYTES:]

    def _why_it_ended(self) -> str:
        try:
            status = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return "closed its standard output without an answer"
        for reader in self._readers:
            reader.join(_GRACE_S)
        return describe_end(status, self._errors.decode(errors="replace"))


def _start_reader(
    stream: IO[bytes] | None, take: Callable[[bytes], None], at_end: Callable[[], None]
) -> threading.Thread:
    """Start a thread that passes on each line of a stream; the thread closes the stream."""
    assert stream is not None

    def read() -> None:
        try:
            with stream:
                for line in stream:
                    take(line)
        finally:
            at_end()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    return reader


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name}, perhaps for lack of memory" if name == "SIGKILL" else name
