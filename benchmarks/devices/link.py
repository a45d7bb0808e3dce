"""The connection to the agent on another machine: requests, replies, time limits, and reconnection."""

from __future__ import annotations

import json
import os
import queue
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import IO, Any, TypeVar

from ...edge.console import say
from ...edge.errors import BenchmarkError
from ...edge.processes import KeptEnd, Process
from . import far
from .answers import facts_of, last_line, parse_reply, shortened
from .ssh import LinkError, explain, ssh_command
from .target import SshTarget

# Signs of life come every 5 seconds (far/channel.py), where neither disk nor processor stalls.
SILENCE_SECONDS = 90.0
START_SECONDS = 60.0
_LONGEST_LINE = 1 << 20
_MOST_WAITING = 64  # Lines that were not looked at yet; the other machine waits when there are more.
_MOST_ERRORS = 1 << 16  # Bytes of the end of stderr that are kept.
_BLOCK = 1 << 16
_NO_PYTHON = "edge-classify finds no Python:"
# In the order in which they import each other.
_MODULES = ("channel", "files", "locks", "programs", "environment", "job", "agent")
# The shell looks for a Python that is new enough, which then reads the agent. The line holds no single quotes
# and no backslashes, so that any login shell passes it on unchanged.
BOOTSTRAP = (
    "exec sh -c 'found=; for p in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do "
    "command -v $p >/dev/null 2>&1 || continue; "
    'if $p -I -c "import sys; sys.exit(sys.version_info < (3, 10))" </dev/null 2>/dev/null; then '
    'exec $p -I -c "import sys; exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"; fi; '
    'found="$found $($p -V 2>&1),"; done; '
    f'echo "{_NO_PYTHON}$found"; exit 1\''
)
_LOADER = """
import sys, types
package = sys.modules["far"] = types.ModuleType("far")
package.__path__ = []
for name, source in {modules!r}:
    module = sys.modules["far." + name] = types.ModuleType("far." + name)
    module.__package__ = "far"
    exec(compile(source, "far/" + name + ".py", "exec"), module.__dict__)
sys.modules["far.agent"].serve({mark!r}, {job_name!r})
"""
T = TypeVar("T")
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_END_SECONDS = 2.0  # To end when its standard input has ended.
_SHORT_LIVED, _MOST_LOSSES = 10.0, 8  # Seconds, and the number of such connections in a row.


class Stopped(Exception):
    """The user interrupted the benchmark."""


class NoPython(LinkError):
    """The other machine has no Python that is new enough; `found` are the versions that it has."""

    def __init__(self, found: str) -> None:
        super().__init__(f"no Python ({found})", lasting=True)
        self.found = found


class Connection:
    """A connection to one device's agent that is opened again when it is lost.

    A request may be repeated: the agent does nothing twice.
    """

    def __init__(self, target: SshTarget, job_name: str, patience: float, stop: threading.Event) -> None:
        """Open it. Raises BenchmarkError with the reason in words, or Stopped."""
        self._target = target
        self._job_name = job_name
        self._patience = patience
        self._stop = stop
        self._losses, self._opened = 0, time.monotonic()
        self._link: Link | None = None
        self._link = self._open()
        self.facts: dict[str, Any] = self._link.facts

    def insist(self, step: Callable[[Link], T]) -> T:
        """Do `step`, and begin it again with a new connection whenever the connection is lost.

        Raises BenchmarkError where the device cannot be reached for `patience` seconds, and Stopped.
        """
        while True:
            try:
                if self._link is None:
                    self._link = self._reopen()
                return step(self._link)
            except LinkError as error:
                self.close()
                if error.lasting:
                    raise BenchmarkError(_named(self._target, str(error))) from None
                self._count_loss(error)

    def _count_loss(self, error: LinkError) -> None:
        reason = last_line(str(error)) or "ssh ended without a message"
        lived = time.monotonic() - self._opened
        self._losses = self._losses + 1 if lived < _SHORT_LIVED else 1
        if self._losses > _MOST_LOSSES:
            raise BenchmarkError(f"{self._target.name}: every connection is lost within seconds ({reason})")
        say(
            f"{self._target.name}: the connection was lost ({reason}). It is opened again, for "
            f"up to {self._patience:.0f} seconds; the benchmark there goes on",
            "warning",
        )

    def close(self) -> None:
        """End the connection."""
        if self._link is not None:
            self._link.close()
        self._link = None

    def _open(self) -> Link:
        command = ssh_command(self._target, BOOTSTRAP)
        try:
            return Link(command, self._job_name, self._stop)
        except NoPython as error:
            raise LinkError(
                f"{self._target.name}: Python 3.10 or newer is needed there. Received: {error.found}. "
                "On Debian and Raspberry Pi OS bookworm: sudo apt install python3-venv",
                lasting=True,
            ) from None
        except LinkError as error:
            raise explain(self._target, str(error)) from None
        except FileNotFoundError:
            raise BenchmarkError(
                f"--on {self._target.name} needs the program {command[0]}. On Debian: "
                "apt install openssh-client"
            ) from None
        except OSError as error:
            raise BenchmarkError(
                f"{self._target.name}: {command[0]} cannot be run: {error.strerror}"
            ) from None

    def _reopen(self) -> Link:
        end, pause = time.monotonic() + self._patience, _FIRST_PAUSE
        while True:
            if self._stop.wait(pause):
                raise Stopped
            try:
                link = self._open()
            except LinkError as error:
                if error.lasting or time.monotonic() > end:
                    raise BenchmarkError(str(error)) from None
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            self._opened = time.monotonic()
            say(f"{self._target.name}: connected again")
            return link


def _named(target: SshTarget, text: str) -> str:
    return text if text.startswith(target.name) else f"{target.name}: {text}"


class Link:
    """One process, such as ssh, with the agent at its other end; `facts` are those of the other machine."""

    def __init__(self, command: Sequence[str], job_name: str, stop: threading.Event) -> None:
        """Start it and wait for the facts; raises LinkError with ssh's message, NoPython, or Stopped."""
        self._stop = stop
        self._number = 0
        self._mark = f"edge-classify-{token_hex(8)}:"
        # In a session of its own: it cannot ask for anything on the terminal.
        self._process = Process(command, own_session=True)
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._errors = KeptEnd(self._process.stderr, _MOST_ERRORS)
        self._stdin = self._process.stdin.fileno()
        os.set_blocking(self._stdin, False)
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._closed = threading.Event()
        threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True).start()
        try:
            self._write(_agent_source(self._mark, job_name))
            self.facts: dict[str, Any] = facts_of(self._next(time.monotonic() + START_SECONDS))
        except BaseException:
            self.close()
            raise

    def ask(
        self, do: str, body: Callable[[], Iterator[bytes]] | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Send a request, followed by the bytes of `body`, and return the last part of the answer.

        Raises LinkError where the connection ends or the agent is silent for too long.
        """
        return list(self.stream(do, body, **fields))[-1]

    def stream(
        self, do: str, body: Callable[[], Iterator[bytes]] | None = None, **fields: Any
    ) -> Iterator[dict[str, Any]]:
        """Send a request and yield the parts of the answer as they come, signs of life left out."""
        self._number += 1
        number = self._number
        self._write(json.dumps({"request": number, "do": do, **fields}).encode() + b"\n")
        for block in body() if body else ():
            self._write(block)
        end = time.monotonic() + SILENCE_SECONDS
        while True:
            reply = self._next(end)
            if reply.get("request") != number:  # Of a request before, which was given up.
                continue
            end = time.monotonic() + SILENCE_SECONDS
            if "beat" in reply:
                continue
            if "error" in reply:
                raise LinkError(f"the agent cannot {do}: {shortened(str(reply['error']))}", lasting=True)
            yield reply
            if reply.get("done"):
                return

    def close(self) -> None:
        """End the connection; the agent ends with it."""
        self._closed.set()
        assert self._process.stdin is not None
        with suppress(OSError):  # What could not be written.
            self._process.stdin.close()
        if self._process.wait(_END_SECONDS) is None:
            self._process.kill()

    def _next(self, end: float) -> dict[str, Any]:
        """Return the next object behind the mark."""
        while True:
            if self._stop.is_set():
                raise Stopped
            if time.monotonic() > end:  # Also where it talks all the time, and says nothing.
                raise LinkError("it was silent for too long")
            try:
                line = self._lines.get(timeout=0.2)
            except queue.Empty:
                continue
            if line is None:
                raise LinkError(self._error_text())
            _, no_python, found = line.partition(_NO_PYTHON)
            if no_python:
                raise NoPython(shortened(found.strip(" ,\n")) or "none")
            _, marked, text = line.partition(self._mark)  # A login script may have begun the line.
            if marked and text.endswith("\n"):
                return parse_reply(text)

    def _listen(self, stdout: IO[bytes]) -> None:
        with stdout:
            while raw := stdout.readline(_LONGEST_LINE):
                if not self._put(raw.decode(errors="replace")):
                    return
        self._put(None)

    def _put(self, line: str | None) -> bool:
        """Hand over a line, when there is room; returns False where nobody waits for it any more."""
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._lines.put(line, timeout=0.2)
                return True
        return False

    def _write(self, data: bytes) -> None:
        end = time.monotonic() + SILENCE_SECONDS
        while data:
            if self._stop.is_set():
                raise Stopped
            if select.select([], [self._stdin], [], 0.2)[1]:
                try:
                    data = data[os.write(self._stdin, data[:_BLOCK]) :]
                except BrokenPipeError:
                    raise LinkError(self._error_text()) from None
                end = time.monotonic() + SILENCE_SECONDS
            elif time.monotonic() > end:
                raise LinkError("it accepts no more data")

    def _error_text(self) -> str:
        """Return what ssh, or a traceback of the agent, wrote to stderr."""
        self._process.wait(5)
        self._errors.join(1)
        return self._errors.data.decode(errors="replace").strip()


def _agent_source(mark: str, job_name: str) -> bytes:
    folder = Path(far.__file__).parent
    modules = [(name, (folder / f"{name}.py").read_text(encoding="utf-8")) for name in _MODULES]
    source = _LOADER.format(modules=modules, mark=mark, job_name=job_name).encode()
    return b"%d\n%s" % (len(source), source)
