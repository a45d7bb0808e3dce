"""Every process that this program starts begins here, and nothing of the working folder runs in it.

People start the commands inside folders of photos and models that they got from others. A file there that is
called numpy.py, or git, must not run:

- Python children are started isolated (-I), and get this process's import path without the working folder.
  So PYTHONPATH decides as much as it did for this process, and no more: what it names is on that path, but
  an empty entry (PYTHONPATH=:/lib) and `python -m`, which stand for the working folder, reach no child.
- Programs are found by the absolute entries of PATH alone.
- The environment has neither Python's variables nor those of this package, which may hold passwords.
- Standard input is empty or a pipe, output is kept up to a limit, and a process that must end is killed with
  all that it started.

benchmarks/devices/far/programs.py follows the same rules on the other machine, where this file is not.
"""

from __future__ import annotations

import os
import shutil
import signal
import site
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from .search_paths import import_path, program_path

_OWN_VARIABLES = ("PYTHON", "EDGE_CLASSIFY_")
# What programs get that need nothing of the user's: where libraries are, and Windows' own.
_PLAIN_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
# The child's own entries are Python's, and those of import hooks; an empty one is the working folder.
_START = (
    "import os, sys; sys.path[:] = dict.fromkeys({path} + "
    "[e for e in sys.path if os.path.isabs(e) or e and not os.path.exists(e)])\n"
)
_MOST_BYTES = 1 << 20
_BLOCK = 1 << 16
_SHORTEST_POLL_S, _POLL_S = 0.0005, 0.02
_GRACE_S = 1.0  # For the rest of the output when a process has ended; what it left running may hold the pipe.


def python_command(code: str, *arguments: str) -> list[str]:
    """Return the command that runs Python code, isolated, with `arguments` in sys.argv and `sys` imported."""
    # -I would leave the user's own packages out, which this process may have come from.
    flags = ["-E" if site.ENABLE_USER_SITE else "-I", *(["-B"] if sys.dont_write_bytecode else [])]
    flags += ["-X", "utf8"] if sys.flags.utf8_mode else []
    start = _START.format(path=ascii(import_path()))
    return [sys.executable, *flags, "-c", start + code, *arguments]


def find_program(name: str) -> str | None:
    """Return the path of a program, None where PATH has none; its relative entries are not looked at.

    An empty entry, as in PATH=/usr/bin:, is the working folder.
    """
    return shutil.which(name, path=program_path())


def child_environment(**changes: str) -> dict[str, str]:
    """Return this process's variables, but for Python's and this package's own, with `changes`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)}
    return {**kept, "PATH": program_path(), **changes}


def plain_environment(**changes: str) -> dict[str, str]:
    """Return the same few variables on all machines: for programs that need nothing of the user's."""
    kept = {name: os.environ[name] for name in _PLAIN_VARIABLES if name in os.environ}
    return {"PATH": program_path(), "LC_ALL": "C", **kept, **changes}


class Process:
    """A process in a group of its own: Ctrl-C does not reach it, and what it starts is killed with it.

    `stdin` is a pipe, or None where it is empty; `stdout` is a pipe, and `stderr` too unless it is merged.
    The caller reads the pipes, since a process with a full pipe waits for ever, and in the end calls `kill`.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        asked: bool = True,
        merged: bool = False,
        own_session: bool = False,
    ) -> None:
        """Start it; raises OSError where that fails.

        `environment` holds all its variables, None for those of child_environment. With `asked`, its standard
        input is a pipe. `merged` sends its stderr into stdout. In a session of its own it cannot ask for
        anything on the terminal.
        """
        self._process = subprocess.Popen(
            [_located(command[0]), *command[1:]],
            stdin=subprocess.PIPE if asked else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            env=child_environment() if environment is None else environment,
            start_new_session=own_session,
            **({} if own_session else _own_group()),
        )
        self.pid = self._process.pid
        self.stdin: IO[bytes] | None = self._process.stdin
        self.stdout: IO[bytes] | None = self._process.stdout
        self.stderr: IO[bytes] | None = self._process.stderr

    def ended(self) -> bool:
        """Return whether it has ended. Its number stays its own until `wait` or `kill` has returned."""
        if self._process.returncode is not None:
            return True
        if not hasattr(os, "waitid"):  # Windows, and macOS before Python 3.13.
            return self._process.poll() is not None
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # Another thread has just waited for it.
            return True

    def wait(self, limit_s: float) -> int | None:
        """Wait for its end, kill what it left running, and return its exit status, below 0 for a signal.

        None where it goes on.
        """
        end, pause = time.monotonic() + limit_s, _SHORTEST_POLL_S
        while not self.ended():
            if time.monotonic() > end:
                return None
            time.sleep(pause)
            pause = min(2 * pause, _POLL_S)
        return self.kill()

    def detach(self) -> int | None:
        """Return its exit status, and leave running what it started; None where it goes on."""
        return self._process.poll()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to it and all that it started; nothing happens once `wait` or `kill` has returned."""
        if self._process.returncode is not None:  # The number may be another process's by now.
            return
        if os.name != "posix":
            self._process.send_signal(number)
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def kill(self) -> int:
        """End it at once, with all that it started, and return its exit status; may be called twice."""
        if os.name == "posix":
            self.send_signal(signal.SIGKILL)
        else:
            self._process.kill()
        return self._process.wait()

    def close_streams(self) -> None:
        """Close the pipes that are still open."""
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                with suppress(OSError, ValueError):  # What could not be written because it had ended.
                    stream.close()


class KeptEnd:
    """Reads a stream to its end in a thread, and keeps the last `most` bytes; `cut` where there were more."""

    def __init__(self, stream: IO[bytes], most: int = _MOST_BYTES) -> None:
        self.cut = False
        self._most, self._data = most, bytearray()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    @property
    def data(self) -> bytes:
        """The bytes kept so far."""
        return bytes(self._data[-self._most :])

    def join(self, limit_s: float) -> bool:
        """Wait for the stream's end; returns whether it has come."""
        self._thread.join(limit_s)
        return not self._thread.is_alive()

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            while block := os.read(stream.fileno(), _BLOCK):
                self._data += block
                if len(self._data) > self._most:
                    self.cut = True
                if len(self._data) > 2 * self._most + _BLOCK:
                    del self._data[: -self._most]


@dataclass(frozen=True)
class Finished:
    """A process that has ended: `status` below 0 is the signal that ended it, None that it took too long.

    `output` and `errors` are the last bytes that it wrote; `cut` says that it wrote more to stdout.
    """

    status: int | None
    output: bytes
    errors: bytes
    cut: bool


def run(
    command: Sequence[str],
    limit_s: float,
    environment: Mapping[str, str] | None = None,
    *,
    merged: bool = False,
    most_bytes: int = _MOST_BYTES,
    own_session: bool = False,
    leaves_server: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Finished:
    """Run a program to its end, or for at most `limit_s` seconds; its standard input is empty.

    `environment`, `merged` and `own_session` are those of Process; `most_bytes` of each stream are kept. What
    the program leaves running is killed, unless `leaves_server` and it ended in time. `check` is called again
    and again: what it raises ends the process. Raises OSError where the program cannot be started.
    """
    process = Process(command, environment, asked=False, merged=merged, own_session=own_session)
    kept = [KeptEnd(stream, most_bytes) for stream in (process.stdout, process.stderr) if stream is not None]
    end, pause, status = time.monotonic() + limit_s, _SHORTEST_POLL_S, None
    try:
        while not process.ended() and time.monotonic() < end:
            check()
            if kept[0].join(_POLL_S):  # At the end of its output it ends: cold starts are timed so.
                time.sleep(pause)
                pause = min(2 * pause, _POLL_S)
        status = process.detach() if leaves_server else process.wait(0)
    finally:
        process.kill()
        for each in kept:
            each.join(_GRACE_S)
    return Finished(status, kept[0].data, b"" if merged else kept[1].data, kept[0].cut)


def describe_end(status: int, errors: str) -> str:
    """Return why a process ended without an answer, by its exit status and what it wrote to stderr."""
    if status < 0:
        return f"was killed by {_signal_name(-status)}"
    lines = errors.strip().splitlines()
    if lines:
        return f"failed ({lines[-1].strip()})"
    return f"failed (exit status {status})" if status else "ended without an answer"


def _located(program: str) -> str:
    """Return the path of a program that is named without one, so that the system does not look for it."""
    if os.path.dirname(program):  # noqa: PTH120
        return program
    found = find_program(program)
    if found is None:
        raise FileNotFoundError(2, "No such file or directory", program)
    return found


def _own_group() -> dict[str, Any]:
    # Not a session of its own: the system ends a process that is stopped when its session's last parent is
    # killed.
    if os.name != "posix":
        return {}
    # Python 3.10 has no process_group; setpgrp takes no lock.
    return {"process_group": 0} if sys.version_info >= (3, 11) else {"preexec_fn": os.setpgrp}


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name}, perhaps for lack of memory" if name == "SIGKILL" else name
