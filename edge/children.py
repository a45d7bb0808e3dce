"""Child processes that answer questions, for code that may crash or hang the process that runs it.

A wheel for another processor ends in SIGILL, a window library without a display in abort(), and a camera's
driver may never return. Questions and answers are JSON objects, one on each line; what else a child prints is
skipped. `child_loop.py` is the child's side.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import IO, Any

from .json_files import JsonError, parse_json
from .processes import KeptEnd, Process, describe_end, python_command

_GRACE_S = 2.0  # How long a child may take to end when its standard input has ended.
_KEPT_BYTES = 4096  # Of the end of what it wrote to stderr.
_LONGEST_ANSWER = 64 << 20  # Bytes. The rest of a longer line is skipped.
_MOST_UNREAD = 1000  # Answers that nobody has asked for yet: a child that sends more is broken.


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


class Child:
    """A process that answers questions, one after the other; it has ended after a reply without an answer.

        child = Child(python_command("from package.module import main; main()"))
        child.ask({"add": [1, 2]}, limit_s=30).answer
        child.close()

    The constructor does not wait, so that several children may start at the same time.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start the process, as processes.Process does; raises OSError where that fails."""
        self._process = Process(command, environment)
        self.pid = self._process.pid
        self._answers: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        assert self._process.stdout is not None and self._process.stderr is not None
        # A pipe that nobody reads would stop a runtime that writes a lot.
        self._errors = KeptEnd(self._process.stderr, _KEPT_BYTES)
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

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
        status = self._process.wait(limit_s)
        if status is None:
            return f"did not end within {limit_s:g} seconds"
        return describe_end(status, "") if status < 0 else None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to it and all that it started; nothing happens where the process has ended."""
        self._process.send_signal(number)

    def close(self) -> None:
        """Let the process end, or kill it after a while; may be called twice."""
        self.wait(_GRACE_S)
        self.kill()

    def kill(self) -> None:
        """End the process and all that it started at once; may be called twice."""
        self._process.kill()
        self.close_stdin()
        self._reader.join(_GRACE_S)
        self._errors.join(_GRACE_S)

    def _read(self, stream: IO[bytes]) -> None:
        try:
            with stream:
                begins = True
                while line := stream.readline(_LONGEST_ANSWER):
                    if begins and not self._keep_answer(line):
                        break
                    begins = line.endswith(b"\n")
        finally:
            self._answers.put(None)

    def _keep_answer(self, line: bytes) -> bool:
        """Keep a line that is an answer; returns whether there is room for more."""
        with suppress(JsonError):
            answer = parse_json(line, finite=False)
            if isinstance(answer, dict):
                self._answers.put(answer)
        return self._answers.qsize() < _MOST_UNREAD

    def _why_it_ended(self) -> str:
        status = self._process.wait(_GRACE_S)
        if status is None:
            self.kill()
            return "closed its standard output without an answer"
        self._errors.join(_GRACE_S)
        return describe_end(status, self._errors.data.decode(errors="replace"))
