"""A service manager hears what it needs to know, and SIGTERM ends a run in good order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from edge_classify.edge.service.notify import Terminated, Watchdog, graceful_termination


@contextmanager
def _manager(name: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.settimeout(60)
        yield manager


def _heard(manager: socket.socket) -> list[str]:
    """Return what came so far; datagrams of this machine have come when they are sent."""
    manager.setblocking(False)
    heard = []
    while True:
        try:
            heard.append(manager.recv(4096).decode())
        except BlockingIOError:
            return heard


@pytest.mark.parametrize("abstract", [False, True])
def test_manager_hears_that_the_service_is_ready_what_it_does_and_that_it_ends(
    abstract: bool, tmp_path: Path
) -> None:
    name = f"@edge-classify-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with _manager("\0" + name[1:] if abstract else name) as manager:
        watchdog = Watchdog({"NOTIFY_SOCKET": name})
        watchdog.ready("2 models")
        watchdog.status("grüne Fläche\nREADY=0")
        watchdog.status("grüne Fläche\nREADY=0")
        watchdog.feed()
        watchdog.stopping()
        assert _heard(manager) == ["READY=1\nSTATUS=2 models", "STATUS=grüne Fläche READY=0", "STOPPING=1"]


def test_watchdog_is_fed_a_third_of_its_time_apart(tmp_path: Path) -> None:
    now = 1000.0
    name = str(tmp_path / "notify")
    environment = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}
    watchdog = Watchdog(environment, lambda: now)
    watchdog.feed()  # Nobody listens yet: the next one counts.
    with _manager(name) as manager:
        meals = []
        for second in range(61):
            now = 1000.0 + second
            watchdog.feed()
            meals += [second for _ in _heard(manager)]
    assert meals == [0, 20, 40, 60]


@pytest.mark.parametrize(
    "environment",
    [{"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}, {}],
)
def test_watchdog_that_does_not_wait_for_this_process_is_not_fed(
    environment: dict[str, str], tmp_path: Path
) -> None:
    name = str(tmp_path / "notify")
    with _manager(name) as manager:
        Watchdog({"NOTIFY_SOCKET": name, **environment}).feed()
        assert _heard(manager) == []


@pytest.mark.parametrize("name", ["", "vsock:2:1", "/nowhere/notify", "/" + "x" * 200])
def test_without_a_manager_that_listens_nothing_happens(name: str) -> None:
    watchdog = Watchdog({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1"})
    watchdog.ready()
    watchdog.feed()
    watchdog.stopping()


def test_manager_that_does_not_read_holds_nothing_up(tmp_path: Path) -> None:
    name = str(tmp_path / "notify")
    with _manager(name) as manager:
        watchdog = Watchdog({"NOTIFY_SOCKET": name})
        for number in range(10_000):
            watchdog.status(str(number))
        assert len(_heard(manager)) < 10_000


def test_sigterm_ends_a_waiting_block_after_its_cleaning_up_and_the_program_goes_on() -> None:
    code = (
        "import os, signal, threading\n"
        "from edge_classify.edge.service.notify import graceful_termination\n"
        "with graceful_termination():\n"
        "    try:\n"
        "        print('waiting', flush=True)\n"
        "        threading.Event().wait()\n"
        "    finally:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        print('cleaned up', flush=True)\n"
        "print('done')"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.terminate()
    output, _ = process.communicate(timeout=60)
    assert (output, process.returncode) == ("cleaned up\ndone\n", 0)


def test_former_handler_is_back_after_the_block() -> None:
    former = signal.getsignal(signal.SIGTERM)
    with graceful_termination():
        assert signal.getsignal(signal.SIGTERM) != former
    assert signal.getsignal(signal.SIGTERM) == former


def test_termination_is_caught_where_ctrl_c_is() -> None:
    caught = threading.Event()
    with graceful_termination():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(60)
        except KeyboardInterrupt as error:
            assert isinstance(error, Terminated)
            caught.set()
    assert caught.is_set()
