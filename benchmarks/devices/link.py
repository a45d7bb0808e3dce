"""The connection to the agent on another machine: requests, replies, time limits, and opening it anew."""

from __future__ import annotations

import json
import os
import queue
import select
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import IO, Any, TypeVar

from ...edge.console import say
from ...edge.errors import BenchmarkError
from . import far
from .ssh import LinkError, explain, ssh_command
from .target import SshTarget

# Signs of life come every 5 seconds (far/channel.py), where neither disk nor processor stalls.
SILENCE_SECONDS = 90.0
HELLO_SECONDS = 60.0
_LONGEST_LINE = 1 << 20
_BLOCK = 1 << 16
_NO_PYTHON = "edge-classify finds no Python:"
# In the order in which they import each other.
_MODULES = ("channel", "files", "locks", "environment", "job", "agent")
# The shell looks for a Python that is new enough, which then reads the agent. No quotes of the shell's and no
# backslashes are in it, so that any login shell passes it on as it is.
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
sys.modules["far.agent"].serve({mark!r}, {job!r})
"""


class Stopped(Exception):
    """The user wants it to end."""


class NoPython(LinkError):
    """The other machine has no Python that is new enough; `found` are the versions that it has."""

    def __init__(self, found: str) -> None:
        super().__init__(f"no Python ({found})", lasting=True)
        self.found = found


class Link:
    """A process, such as ssh, with the agent behind it; `hello` holds the facts that it began with."""

    def __init__(self, command: Sequence[str], job: str, stop: threading.Event) -> None:
        """Start it and wait for the greeting; raises LinkError with what ssh said, NoPython, or Stopped."""
        self._stop = stop
        self._number = 0
        self._mark = f"edge-classify-{token_hex(8)}:"
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - It is closed with the connection.
        # In a session of its own: Ctrl-C is for us to pass on, and a terminal's prompt is out of reach.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdin = self._process.stdin.fileno()
        os.set_blocking(self._stdin, False)
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True).start()
        try:
            self._write(_agent_source(self._mark, job))
            greeting = self._next(time.monotonic() + HELLO_SECONDS)
            self.hello: dict[str, Any] = greeting["hello"]
        except BaseException:
            self.close()
            raise

    def ask(
        self, do: str, body: Callable[[], Iterator[bytes]] | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Send a request, with what `body` yields after it, and return the last part of the answer.

        Raises LinkError when the connection ends or nothing is heard for too long.
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
        while True:
            reply = self._next(time.monotonic() + SILENCE_SECONDS)
            if reply.get("request") != number or "beat" in reply:
                continue
            if "error" in reply:
                raise LinkError(f"the other side cannot {do}: {reply['error']}", lasting=True)
            yield reply
            if reply.get("done"):
                return

    def close(self) -> None:
        """End the connection; the agent ends with it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(2)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._said.close()

    def _next(self, end: float) -> dict[str, Any]:
        """Return the next object behind the mark."""
        while True:
            if self._stop.is_set():
                raise Stopped
            try:
                line = self._lines.get(timeout=0.2)
            except queue.Empty:
                if time.monotonic() > end:
                    raise LinkError("nothing was heard from it for too long") from None
                continue
            if line is None:
                raise LinkError(self._last_words())
            _, no_python, found = line.partition(_NO_PYTHON)
            if no_python:
                raise NoPython(found.strip(" ,\n") or "none")
            _, marked, text = line.partition(self._mark)  # A login script may have begun the line.
            if marked and text.endswith("\n"):
                reply: dict[str, Any] = json.loads(text)
                return reply

    def _listen(self, stdout: IO[bytes]) -> None:
        with stdout:
            while raw := stdout.readline(_LONGEST_LINE):
                self._lines.put(raw.decode(errors="replace"))
        self._lines.put(None)

    def _write(self, data: bytes) -> None:
        end = time.monotonic() + SILENCE_SECONDS
        while data:
            if self._stop.is_set():
                raise Stopped
            if select.select([], [self._stdin], [], 0.2)[1]:
                try:
                    data = data[os.write(self._stdin, data[:_BLOCK]) :]
                except BrokenPipeError:
                    raise LinkError(self._last_words()) from None
                end = time.monotonic() + SILENCE_SECONDS
            elif time.monotonic() > end:
                raise LinkError("it takes nothing any more")

    def _last_words(self) -> str:
        """Return what ssh, or a traceback from the other side, said to stderr."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._said.seek(0)
        return self._said.read(_BLOCK).decode(errors="replace").strip()


def _agent_source(mark: str, job: str) -> bytes:
    folder = Path(far.__file__).parent
    modules = [(name, (folder / f"{name}.py").read_text(encoding="utf-8")) for name in _MODULES]
    source = _LOADER.format(modules=modules, mark=mark, job=job).encode()
    return b"%d\n%s" % (len(source), source)


T = TypeVar("T")
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_SHORT_LIVED, _MOST_LOSSES = 10.0, 8  # Seconds, and how many such connections in a row are enough.


class Connection:
    """The way to one device's agent, for the job of this name.

    What is asked over it may be asked again: the agent does nothing twice.
    """

    def __init__(self, target: SshTarget, job: str, patience: float, stop: threading.Event) -> None:
        """Open it. Raises BenchmarkError with the reason in words, or Stopped."""
        self._target = target
        self._job = job
        self._patience = patience
        self._stop = stop
        self._losses, self._opened = 0, time.monotonic()
        self._link: Link | None = None
        self._link = self._open()
        self.facts: dict[str, Any] = self._link.hello

    def insist(self, step: Callable[[Link], T]) -> T:
        """Do `step`, and again from its beginning with a new connection whenever one is lost meanwhile.

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
        lines = str(error).splitlines() or ["ssh ended without a word"]
        lived = time.monotonic() - self._opened
        self._losses = self._losses + 1 if lived < _SHORT_LIVED else 1
        if self._losses > _MOST_LOSSES:
            raise BenchmarkError(f"{self._target.name}: every connection is lost at once ({lines[-1]})")
        say(
            f"{self._target.name}: the connection was lost ({lines[-1].strip()}). It is opened anew, for "
            f"up to {self._patience:.0f} seconds; what runs there goes on",
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
            return Link(command, self._job, self._stop)
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
