"""Several devices at once: one that fails costs the others nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ...edge.console import say
from ...edge.errors import BenchmarkError, OptionError
from .android import visit_android
from .remote_job import DeviceOutcome, Errand
from .remote_run import Visit
from .target import AdbTarget, SshTarget, Target
from .wheel import Wheel, build_wheel


def run_on(
    targets: Sequence[SshTarget | AdbTarget],
    errand: Errand,
    on_lines: Callable[[Target, list[dict[str, Any]]], None],
) -> list[DeviceOutcome]:
    """Measure on all targets at the same time, and return what each gave, in their order.

    `on_lines` gets the records of a device as they come, from other threads, but never two calls at once.
    Ctrl-C ends what runs there, fetches what is done, and cleans up; once more, and it leaves all as it is.
    Raises OptionError for a target that is named twice, or files that cannot be sent.
    """
    names = [target.name for target in targets]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise OptionError(f"--on names {', '.join(twice)} twice: a device measures one thing at a time")
    wheel = build_wheel() if any(isinstance(target, SshTarget) for target in targets) else None
    crew = _Crew(errand, wheel, on_lines)
    for target in targets:
        threading.Thread(target=crew.visit, args=(target,)).start()
    while True:
        try:
            crew.wait(len(targets))
            break
        except KeyboardInterrupt:
            crew.interrupt()
    if crew.failures:
        raise crew.failures[0]
    return [crew.outcomes[name] for name in names]


class _Crew:
    """What the threads share."""

    def __init__(
        self, errand: Errand, wheel: Wheel | None, on_lines: Callable[[Target, list[dict[str, Any]]], None]
    ) -> None:
        self.outcomes: dict[str, DeviceOutcome] = {}
        self.failures: list[BaseException] = []
        self._errand, self._wheel, self._on_lines = errand, wheel, on_lines
        self._stop, self._abandon = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._finished = 0

    def visit(self, target: SshTarget | AdbTarget) -> None:
        """Measure on one target."""
        try:
            self.outcomes[target.name] = self._visit(target)
        except BenchmarkError as error:
            self.outcomes[target.name] = DeviceOutcome(target, (), error=str(error))
        except BaseException as error:  # It belongs into the main thread.
            self.failures.append(error)
        self._finished += 1

    def wait(self, count: int) -> None:
        """Return when so many visits have ended. A thread's join would not survive Ctrl-C (bpo-45274)."""
        while self._finished < count:
            time.sleep(0.05)

    def interrupt(self) -> None:
        """Have all end: the first time in order, the second time at once."""
        if self._stop.is_set():
            self._abandon.set()
        else:
            say("Interrupted: ending what runs there, and cleaning up. Ctrl-C once more leaves it there")
            self._stop.set()

    def _visit(self, target: SshTarget | AdbTarget) -> DeviceOutcome:
        def told(records: list[dict[str, Any]]) -> None:
            with self._lock:
                self._on_lines(target, records)

        if isinstance(target, AdbTarget):
            return visit_android(target, self._errand, told, self._stop, self._abandon)
        assert self._wheel is not None
        return Visit(target, self._errand, self._wheel, told).make(self._stop, self._abandon)
