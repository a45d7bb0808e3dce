"""From the command line to a session, and to what is said at its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import click

from ..answers.pacing import OnChange, paced
from ..answers.result import FrameResult
from ..classifier import Classifier
from ..console import say, stderr_is_terminal
from ..log import use_format
from ..service.notify import Watchdog, graceful_termination
from ..sources.files import FileSource
from ..sources.frames import Frame, Source
from .models import load_models, share_out
from .outputs import Outputs
from .session import Plan, Session
from .settings import Settings, read_settings
from .usage import check_usage, is_one_photo

TERMINATED = 143  # Exit status after SIGTERM: 128 and the signal's number, as shells have it.


def start(context: click.Context, paths: tuple[str, ...], options: dict[str, Any]) -> None:
    """Classify what the command line names; exit status 1 if anything could not be read or written.

    SIGTERM ends it in good order: a camera's run as a success, since nothing else ends it, and one of files
    with the status that shells give. Raises UsageError for options that don't go together.
    """
    use_format(options["log_format"])
    check_usage(context, paths, options)
    settings = read_settings(paths, options)
    status = 0 if settings.source.camera is not None else TERMINATED
    with graceful_termination():
        status = 0 if Run(settings).execute() else 1
    if status:
        raise click.exceptions.Exit(status)


class Run:
    """Opens everything, runs the session and closes everything, whatever happens."""

    def __init__(self, settings: Settings) -> None:
        """Open nothing yet."""
        self._settings = settings
        self._watchdog = Watchdog()
        self._idlers: list[Callable[[], None]] = [self._watchdog.feed]

    def execute(self) -> bool:
        """Return whether all could be read and written.

        Raises what opening the models, the source or an output raises; and KeyboardInterrupt, when all is
        closed, where files were interrupted.
        """
        with ExitStack() as stack:
            classifiers = load_models(self._settings.model)
            source = self._open_source(stack)
            several = not source.live and not is_one_photo(self._settings.source.paths)
            classifiers, workers = share_out(self._settings.model, classifiers, source.live, several)
            outputs = self._open_outputs(classifiers, source, stack)
            session = Session(source, classifiers, self._plan(workers))
            began = time.monotonic()
            self._watchdog.ready("Classifying")
            try:
                with self._bar(source, several) as alive:
                    session.run(outputs.telling, outputs.watching, alive, self._idle)
                outputs.linger()
            except KeyboardInterrupt:
                if not source.live:
                    raise
            finally:
                self._watchdog.stopping()
        conclude(session, time.monotonic() - began)
        return source.live or not (outputs.failed or session.tally.failed)

    def _open_source(self, stack: ExitStack) -> Source:
        asked = self._settings.source
        source: Source
        if asked.camera is None:
            source = FileSource(asked.paths, asked.recursive)
        else:
            from ..sources.addresses import keep_secrets
            from ..sources.camera import CameraOptions
            from ..sources.opening import open_source

            keep_secrets(asked.camera)
            options = asked.camera_options or CameraOptions()
            source = open_source(asked.camera, options, report=say, idle=self._idle)
        stack.callback(source.close)
        return source

    def _open_outputs(self, classifiers: list[Classifier], source: Source, stack: ExitStack) -> Outputs:
        outputs = Outputs(self._settings.outputs, stack)
        outputs.open(classifiers, self._settings.answers.rules.top, source.live)
        self._idlers += outputs.pumps
        return outputs

    def _plan(self, workers: int) -> Plan:
        answers, asked = self._settings.answers, self._settings.source
        tells = OnChange().passes if answers.on_change else _always
        return Plan(answers.rules, partial(self._prepare, answers.every), tells, asked.frames, workers)

    def _prepare(self, every: float | None, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Thin out and cut frames before anything is decoded."""
        region = self._settings.source.region
        thinned = paced(frames, every)
        if region is None:
            return thinned
        from ..answers.region import cut

        return cut(thinned, region)

    def _idle(self) -> None:
        for idler in self._idlers:
            idler()

    @contextmanager
    def _bar(self, source: Source, several: bool) -> Iterator[Callable[[], None]]:
        """Yield what is called after every frame; it moves a bar where no results scroll by."""
        scrolling = self._settings.outputs.output is None and sys.stdout is not None and sys.stdout.isatty()
        if not several or scrolling or not stderr_is_terminal():
            yield self._watchdog.feed
            return
        from ..progress import progress

        with progress("Classifying", source.total, "images") as advance:

            def alive() -> None:
                advance()
                self._watchdog.feed()

            yield alive


def conclude(session: Session, seconds: float) -> None:
    """Say what a person wants to know at the end."""
    tally = session.tally
    if session.live:
        rate = tally.seen / seconds if seconds else 0.0
        say(f"{tally.seen} frames in {seconds:.1f} s: {rate:.1f} frames/s")
        if tally.damaged:
            say(f"Damaged, and left out: {tally.damaged} of {tally.seen}", "warning")
    elif tally.failed:
        say(f"Skipped, since they could not be read: {tally.failed} of {tally.seen}", "warning")


def _always(_: FrameResult) -> bool:
    return True
