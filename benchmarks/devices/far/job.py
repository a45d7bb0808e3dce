"""The benchmark's process, which goes on while no connection is open."""

from __future__ import annotations

import base64
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from .channel import Channel
from .locks import is_locked, lock
from .programs import start_detached

_BLOCK = 1 << 16
# The file `status` keeps the exit status for later. The shell itself ignores SIGINT and SIGTERM.
_WRAPPER = 'trap : INT TERM; "$@" >out 2>err; echo $? >status.part; mv status.part status'
# Signals that end it, and the seconds that it may go on after each.
_ENDINGS = ((signal.SIGINT, 15.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))


def start(job: Path, request: dict[str, Any], channel: Channel) -> None:
    """Start `program` with `arguments` in the job's folder, detached, unless it was started before."""
    held, used = lock(job / "running"), lock(Path(request["in_use"]), shared=True)
    if held is not None and not (job / "started").exists():
        (job / "started").touch()
        inherited = tuple(file.fileno() for file in (held, used) if file is not None)
        command = ["sh", "-c", _WRAPPER, "sh", request["program"], *request["arguments"]]
        (job / "pid").write_text(str(start_detached(command, job, inherited)))
    for file in (held, used):
        if file is not None:
            file.close()
    channel.send(done=True)


def follow(job: Path, request: dict[str, Any], channel: Channel) -> None:
    """Send the program's output, from the offsets `out` and `err` on, until it ends or a request comes.

    The last part of the answer holds the exit `status`, None where the program ended without writing it.
    """
    offsets = {"out": request["out"], "err": request["err"]}
    while True:
        ended = not is_locked(job / "running")
        for name, offset in offsets.items():
            offsets[name] = offset + _send_new(job / name, name, offset, channel)
        if ended:
            channel.send(done=True, status=_status(job))
            return
        if channel.interrupted(0.2):
            return


def stop(job: Path) -> None:
    """End the program: as Ctrl-C does, and by force where that does not help."""
    for ending, seconds in _ENDINGS:
        end = time.monotonic() + seconds
        if is_locked(job / "running"):
            _signal(job, ending)
        while is_locked(job / "running"):
            if time.monotonic() > end:
                break
            time.sleep(0.1)
        else:
            return


def _send_new(path: Path, name: str, offset: int, channel: Channel) -> int:
    """Send the bytes after `offset`, and return their number."""
    if not path.exists():
        return 0
    sent = 0
    with path.open("rb") as file:
        file.seek(offset)
        while block := file.read(_BLOCK):
            channel.send(stream=name, data=base64.b64encode(block).decode())
            sent += len(block)
    return sent


def _status(job: Path) -> int | None:
    try:
        return int((job / "status").read_text())
    except (OSError, ValueError):
        return None


def _signal(job: Path, number: signal.Signals) -> None:
    with suppress(OSError, ValueError):
        os.killpg(int((job / "pid").read_text()), number)
