"""From the settings of a run to its session, and to the remarks at its end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import click

from ..answers.pacing import OnChange, paced
from ..answers.result import FrameResult
from ..classifier import Classifier
from ..console import say, stderr_is_terminal
from ..service.notify import Watchdog, graceful_termination
from ..sources.files import FileSource, is_video
from ..sources.frames import Frame, Source
from ..sources.listing import LISTING
from .models import load_models, say_what_is_never_unknown, share_out
from .outputs import Outputs
from .session import RunnerPlan, Session
from .settings import RunnerSettings

TERMINATED = 143  # Exit status after SIGTERM: 128 and the signal's number, as shells have it.


def start(settings: RunnerSettings, photo_remark: str | None = None) -> None:
    """Classify what the settings name; exit status 1 if anything could not be read or written.

    SIGTERM ends it in good order: a camera's run as a success, since nothing else ends it, and one of files,
    or of a camera that gave no frame, with the status that shells give. `photo_remark` is printed at the end
    where all frames were photos.
    """
    status = TERMINATED
    with graceful_termination():
        status = 0 if Run(settings, photo_remark).execute() else 1
    if status:
        raise click.exceptions.Exit(status)
    if not settings.model.files and settings.outputs.format == "text":
        from ..next_step import suggest

        suggest("edge-train photos --output run", "with a folder of photos for each of your own things")


class Run:
    """Opens everything, runs the session and closes everything, whatever happens."""

    def __init__(self, settings: RunnerSettings, photo_remark: str | None = None) -> None:
        """Open nothing yet; see `start`."""
        self._settings = settings
        self._photo_remark = photo_remark
        self._watchdog = Watchdog()
        self._idlers: list[Callable[[], None]] = [self._watchdog.feed]

    def execute(self) -> bool:
        """Return whether all could be read and written; of a camera, whether any frame was answered.

        Raises what opening the models, the source or an output raises; and KeyboardInterrupt, when all is
        closed, where files were interrupted, or a camera before its first answer.
        """
        with ExitStack() as stack:
            classifiers = self._load_models(stack)
            if not self._settings.answers.rules.unknown:
                say_what_is_never_unknown(classifiers)
            source = self._open_source(stack)
            several = not source.live and not is_one_photo(self._settings.source.paths)
            classifiers, workers = share_out(self._settings.model, classifiers, source.live, several)
            outputs = self._open_outputs(classifiers, source, stack)
            session = Session(source, classifiers, self._plan(workers))
            began = time.monotonic()
            self._watchdog.ready("Classifying")
            try:
                with self._bar(source, several) as alive:
                    session.run(outputs.reporting, outputs.watching, alive, self._idle)
                outputs.linger()
            except KeyboardInterrupt:
                if not (source.live and session.tally.answered):
                    raise
            finally:
                self._watchdog.stopping()
        if isinstance(source, FileSource) and (remark := source.others.remark()):
            say(remark)
        conclude(session, time.monotonic() - began, self._photo_remark)
        if source.live:
            return session.tally.answered > 0
        return not (outputs.failed or session.tally.failed)

    def _load_models(self, stack: ExitStack) -> list[Classifier]:
        if not self._settings.model.execution.untrusted:
            return load_models(self._settings.model)
        from .untrusted import isolated_pictures, say_what_is_missing

        decoder = stack.enter_context(isolated_pictures())  # It starts while the models are loaded.
        classifiers = load_models(self._settings.model)
        say_what_is_missing(classifiers, decoder, self._settings.source.camera)
        return classifiers

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
        self._idlers += outputs.refreshers
        return outputs

    def _plan(self, workers: int) -> RunnerPlan:
        answers, asked = self._settings.answers, self._settings.source
        reports = OnChange().passes if answers.on_change else _always
        return RunnerPlan(
            answers.rules, partial(self._prepare, answers.every), reports, asked.frames, workers
        )

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


def conclude(session: Session, seconds: float, photo_remark: str | None = None) -> None:
    """Print the remarks at the end of a run; see `start` for `photo_remark`."""
    tally = session.tally
    if session.live:
        say(_describe_rate(tally.answered, seconds))
        if tally.damaged:
            say(f"Damaged, and left out: {tally.damaged} of {tally.frames}", "warning")
    elif tally.failed:
        say(f"Skipped, since they could not be read: {tally.failed} of {tally.frames}", "warning")
    if photo_remark is not None and tally.photos and not tally.moving:
        say(photo_remark)


def _describe_rate(frames: int, seconds: float) -> str:
    """Return how many frames were answered in which time; one alone has no rate."""
    if frames < 2:
        return f"{'One' if frames else 'No'} frame in {seconds:.1f} s"
    return f"{frames} frames in {seconds:.1f} s: {frames / seconds if seconds else 0:.1f} frames/s"


def _always(_: FrameResult) -> bool:
    return True


def is_one_photo(paths: Sequence[str]) -> bool:
    """Return whether there is a single picture to classify, for which workers are not worth starting."""
    if len(paths) != 1 or paths[0] == LISTING:
        return False
    return not os.path.isdir(paths[0]) and not is_video(Path(paths[0]))  # noqa: PTH112 - Path's raises on long names.
