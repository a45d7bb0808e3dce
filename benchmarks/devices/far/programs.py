"""Programs that this machine runs: with Python's variables left out, an empty standard input, and bounds.

This is edge/processes.py for a machine where nothing of edge-classify is installed yet.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .channel import Channel, Interrupted

_TAIL = 4000  # Bytes of the end of the output that are kept.
_BLOCK = 1 << 16


def run(command: Sequence[str], channel: Channel, most: int = _TAIL) -> tuple[int, str]:
    """Run a program to its end; returns its exit status and the last `most` bytes of its output.

    Where the connection ends meanwhile, the program is killed with all that it started, and Interrupted is
    raised.
    """
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
        start_new_session=True,
    )
    assert child.stdout is not None
    pipe, tail = child.stdout.fileno(), b""
    os.set_blocking(pipe, False)
    try:
        while True:
            ended = child.poll() is not None
            tail = _read_rest(pipe, tail, most)
            if ended:
                return child.returncode, tail.decode(errors="replace").strip()
            if channel.interrupted(0.05):
                raise Interrupted
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        child.stdout.close()


def start_detached(command: Sequence[str], folder: Path, kept_open: Sequence[int]) -> int:
    """Start a program in `folder` that goes on without this one; returns its number.

    It inherits the files `kept_open`.
    """
    child = subprocess.Popen(
        command,
        cwd=folder,
        env={**environment(), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=kept_open,
    )
    return child.pid


def environment() -> dict[str, str]:
    """Return this process's variables without those by which Python imports other code."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def _read_rest(pipe: int, tail: bytes, most: int) -> bytes:
    """Return the last `most` bytes of `tail` and of what has come since."""
    try:
        while block := os.read(pipe, _BLOCK):
            tail = (tail + block)[-most:]
    except BlockingIOError:
        pass
    return tail
