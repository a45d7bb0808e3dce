"""Several devices at the same time; one that fails does not stop the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ...edge.console import say
from ...edge.errors import BenchmarkError, OptionError
from .android import measure_android
from .remote_job import DeviceOutcome, RemoteJob
from .remote_run import RemoteRun
from .target import AdbTarget, SshTarget, Target
from .wheel import Wheel, build_wheel


def run_on(
    targets: Sequence[SshTarget | AdbTarget],
    job: RemoteJob,
    on_records: Callable[[Target, list[dict[str, Any]]], None],
) -> list[DeviceOutcome]:
    """Measure on all targets at the same time, and return the outcomes in the order of the targets.

    `on_records` gets the records of a device as they come, from other threads, but never two calls at once.
    Ctrl-C ends the runs, fetches their results, and cleans up; a second Ctrl-C ends the clean-up. Raises
    OptionError for a target that is named twice, or files that cannot be sent.
    """
    names = [target.name for target in targets]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise OptionError(f"--on names {', '.join(twice)} twice: a device measures one thing at a time")
    wheel = build_wheel() if any(isinstance(target, SshTarget) for target in targets) else None
    threads = _DeviceThreads(job, wheel, on_records)
    for target in targets:
        threading.Thread(target=threads.measure, args=(target,)).start()
    while True:
        try:
            threads.wait(len(targets))
            break
        except KeyboardInterrupt:
            threads.interrupt()
    if threads.failures:
        raise threads.failures[0]
    return [threads.outcomes[name] for name in names]


class _DeviceThreads:
    """A thread for each device, and what the threads share."""

    def __init__(
        self, job: RemoteJob, wheel: Wheel | None, on_records: Callable[[Target, list[dict[str, Any]]], None]
    ) -> None:
        self.outcomes: dict[str, DeviceOutcome] = {}
        self.failures: list[BaseException] = []
        self._job, self._wheel, self._on_records = job, wheel, on_records
        self._stop, self._abandon = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._finished = 0

    def measure(self, target: SshTarget | AdbTarget) -> None:
        """Measure on one target."""
        try:
            self.outcomes[target.name] = self._measure(target)
        except BenchmarkError as error:
            self.outcomes[target.name] = DeviceOutcome(target, (), error=str(error))
        except BaseException as error:  # The main thread raises it.
            self.failures.append(error)
        self._finished += 1

    def wait(self, count: int) -> None:
        """Wait until `count` devices are done. Thread.join would not survive Ctrl-C (bpo-45274)."""
        while self._finished < count:
            time.sleep(0.05)

    def interrupt(self) -> None:
        """End all: the first time with a clean-up, the second time at once."""
        if self._stop.is_set():
            self._abandon.set()
        else:
            say("Interrupted: ending the runs there, and cleaning up. A second Ctrl-C leaves all as it is")
            self._stop.set()

    def _measure(self, target: SshTarget | AdbTarget) -> DeviceOutcome:
        def pass_on(records: list[dict[str, Any]]) -> None:
            with self._lock:
                self._on_records(target, records)

        if isinstance(target, AdbTarget):
            return measure_android(target, self._job, pass_on, self._stop, self._abandon)
        assert self._wheel is not None
        return RemoteRun(target, self._job, self._wheel, pass_on).run(self._stop, self._abandon)
