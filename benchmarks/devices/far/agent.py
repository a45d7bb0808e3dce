"""Answers the requests of the computer that started the benchmark, until the connection ends."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from .channel import Channel, Interrupted
from .environment import facts, prepare, remove_older
from .files import offer, remove, take
from .job import follow, start, stop
from .locks import is_locked, lock

_ABANDONED_SECONDS = 86_400.0  # The folder of a job that is older, and does not run, is removed.


def serve(mark: str, job_name: str) -> None:
    """Send facts about this machine, then answer requests about the job called `job_name`."""
    if not re.fullmatch(r"benchmark-[0-9a-f]+", job_name):
        sys.exit(f"this is not the name of a job: {job_name}")
    channel = Channel(mark)
    cache = _cache()
    found = facts(cache)
    job = cache / job_name
    signal.signal(signal.SIGTERM, _exit)
    job.mkdir(exist_ok=True)
    held = _lock_job(job)
    (job / "agent.pid").write_text(str(os.getpid()))
    _remove_abandoned(cache)
    channel.send(facts=found)
    while (request := channel.receive()) is not None:
        if not job.exists() and request["do"] != "remove":
            channel.send(done=True, error=f"{job} is gone: somebody removed it")
            continue
        try:
            _answer(request, cache, job, channel)
        except Interrupted:
            continue
        except (OSError, ValueError) as error:
            channel.send(done=True, error=f"{type(error).__name__}: {error}")
    held.close()


def _answer(request: dict[str, Any], cache: Path, job: Path, channel: Channel) -> None:
    match request["do"]:
        case "offer":
            offer(job, request, channel)
        case "take":
            take(job, request, channel)
        case "prepare":
            kept = request["keep"]
            folder = cache / kept if kept else job / "environment"
            wheels = request["wheels"] and str(job / request["wheels"])
            own = {key: str(job / request[key]) for key in ("wheel", "lock")}
            prepare(folder, {**request, **own, "wheels": wheels}, channel)
            if kept:
                remove_older(cache, folder)
        case "start":
            folder = cache / request["keep"] if request["keep"] else job / "environment"
            paths = {"program": str(folder / "bin" / "edge-benchmark"), "in_use": f"{folder}.lock"}
            start(job, {**request, **paths}, channel)
        case "follow":
            follow(job, request, channel)
        case "stop":
            stop(job)
            channel.send(done=True)
        case "remove":
            stop(job)
            channel.send(done=True, left=remove(job))
        case unknown:
            channel.send(done=True, error=f"unknown request {unknown}")


def _cache() -> Path:
    """Return the folder for files that may be deleted, by the XDG base directory specification."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "edge-classify"


def _lock_job(job: Path) -> Any:
    """Return the lock of the job's agent; an earlier agent, whose connection was lost, is ended."""
    for _ in range(50):
        held = lock(job / "agent.lock")
        if held is not None:
            return held
        with suppress(OSError, ValueError):
            os.kill(int((job / "agent.pid").read_text()), signal.SIGTERM)
        time.sleep(0.1)
    sys.exit("an earlier connection's process does not end")


def _remove_abandoned(cache: Path) -> None:
    for folder in cache.glob("benchmark-*"):
        old = time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS
        if old and not is_locked(folder / "running") and not is_locked(folder / "agent.lock"):
            remove(folder)


def _exit(_number: int, _frame: Any) -> NoReturn:
    sys.exit("another connection took over")
