"""edge-classify: what is in these pictures, or in front of this camera?"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import click
from click.core import ParameterSource

from .classifier import Classifier, Prediction, load_classifiers
from .console import CONTEXT, Command, foreign_model_options, print_json, printable, say, version_option
from .default_model import DEFAULT_MODEL, describe_default
from .image import to_input
from .labels import read_label_file
from .modelfile import Normalization
from .report import FrameRate, to_line, to_record
from .runtime import MAX_THREADS
from .self_check import self_check
from .sources import CameraSource, FileSource, Frame, Source, find_images


@click.command(cls=Command, context_settings=CONTEXT)
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--model",
    "-m",
    "models",
    multiple=True,
    envvar="EDGE_CLASSIFY_MODEL",
    type=click.Path(path_type=Path),
    metavar="FILE",
    show_default="a small model of ten things, to try with",
    help="A .tflite file; several give several answers, side by side.",
)
@click.option("--camera", metavar="SOURCE", help="A camera's number, a stream's URL, or a video file.")
@click.option("--frames", type=click.IntRange(1), metavar="N", help="With --camera: stop after N frames.")
@click.option("--recursive", "-r", is_flag=True, help="Search the sub-folders of folders too.")
@click.option("--top", "-k", type=click.IntRange(1), default=3, show_default=True, help="Answers an image.")
@foreign_model_options
@click.option(
    "--threads",
    type=click.IntRange(1, MAX_THREADS),
    default=1,
    show_default=True,
    help="Threads of the interpreter.",
)
@click.option(
    "--self-check",
    "checked",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Prove that a model file is whole and that its golden examples come out right here.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each image and model.")
@version_option()
def main(
    paths: tuple[Path, ...],
    models: tuple[Path, ...],
    camera: str | None,
    frames: int | None,
    recursive: bool,
    top: int,
    labels: Path | None,
    normalization: Normalization | None,
    threads: int,
    checked: Path | None,
    as_json: bool,
) -> None:
    """Classify images, folders of images, or what a camera sees.

    \b
    Examples:
      edge-classify photo.jpg
      edge-classify -m cats_int8.tflite photo.jpg holiday/
      edge-classify -m cats_int8.tflite --camera 0
      edge-classify -m a.tflite -m b.tflite photo.jpg --json
      edge-classify --self-check cats_int8.tflite

    The exit status is 1 if anything could not be read, or a check failed.
    """
    if checked is not None:
        _run_self_check(checked, as_json)
        return
    _check_usage(paths, camera, frames)
    names = read_label_file(labels) if labels else None
    classifiers = load_classifiers(models or (DEFAULT_MODEL,), names, normalization, threads)
    if not models:
        say(describe_default(classifiers[0].labels))
    for classifier in classifiers:
        if classifier.labels[0] == "class 0" and names is None and classifier.file.labels is None:
            say(f"{classifier.file.path} names no classes: numbers are shown. Name them with --labels FILE")
    source: Source = CameraSource(camera) if camera is not None else FileSource(find_images(paths, recursive))
    if not _classify_all(source, classifiers, top, as_json, frames):
        raise click.exceptions.Exit(1)


def _run_self_check(path: Path, as_json: bool) -> None:
    """Print the outcome of each check; exit status 1 unless all could be made and hold."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE and context.params[name]
        if given and name not in ("checked", "as_json"):
            what = parameter.opts[0] if isinstance(parameter, click.Option) else "a PATH"
            raise click.UsageError(f"--self-check goes with --json and nothing else. Received: {what}")
    result = self_check(path)
    if as_json:
        print_json(result.to_record())
    else:
        click.echo(printable(f"{path}, run by {result.runtime}"))
        for check in result.checks:
            click.echo(printable(f"  {check.status:<12}{check.name}: {check.detail}").replace("\n", "\\x0a"))
    if not result.passed:
        raise click.exceptions.Exit(1)


def _check_usage(paths: tuple[Path, ...], camera: str | None, frames: int | None) -> None:
    if not paths and camera is None:
        raise click.UsageError("Name an image, a folder, or --camera 0.")
    if paths and camera is not None:
        raise click.UsageError("Give either paths or --camera, not both.")
    if frames is not None and camera is None:
        raise click.UsageError("--frames goes with --camera.")


def _classify_all(
    source: Source, classifiers: list[Classifier], top: int, as_json: bool, limit: int | None
) -> bool:
    """Print an answer for every frame; return whether all could be read."""
    rate = FrameRate() if source.live else None
    redraw = source.live and not as_json and sys.stdout.isatty()
    seen = failed = 0
    began = time.monotonic()
    try:
        for frame in islice(source, limit and min(limit, sys.maxsize)):
            seen += 1
            if frame.image is None:
                failed += 1
                _report_failure(frame, as_json)
                continue
            speed = rate.tick() if rate else None
            _print_answers(frame, classifiers, top, as_json, speed, redraw)
    except KeyboardInterrupt:
        if not source.live:
            raise
    finally:
        if redraw and seen:
            click.echo()
        if source.live:
            elapsed = time.monotonic() - began
            say(f"{seen} frames in {elapsed:.1f} s: {seen / elapsed if elapsed else 0:.1f} frames/s")
    if failed:
        say(f"Skipped, since they could not be read: {failed} of {seen}")
    return not failed


def _print_answers(
    frame: Frame, classifiers: list[Classifier], top: int, as_json: bool, rate: float | None, redraw: bool
) -> None:
    answers: list[tuple[str, Prediction]] = []
    for classifier, prediction, decode_ms in _answers(frame, classifiers, top):
        if as_json:
            print_json(to_record(frame, classifier.name, prediction, decode_ms))
        answers.append((classifier.name, prediction))
    if not as_json:
        line = printable(to_line(frame, answers, rate))
        click.echo(f"\r\x1b[K{line}" if redraw else line, nl=not redraw)


def _answers(
    frame: Frame, classifiers: list[Classifier], top: int
) -> Iterator[tuple[Classifier, Prediction, float]]:
    assert frame.image is not None
    for classifier in classifiers:
        started = time.perf_counter()
        pixels = to_input(frame.image, classifier.spec, classifier.preprocess)
        resize_ms = (time.perf_counter() - started) * 1000
        yield classifier, classifier.classify_pixels(pixels, top), frame.decode_ms + resize_ms


def _report_failure(frame: Frame, as_json: bool) -> None:
    if as_json:
        print_json({"source": frame.source, "error": frame.error})
    else:
        say(str(frame.error))
