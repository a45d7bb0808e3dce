"""edge-convert: trained models become .tflite files, each scored for what it lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..benchmarks.budget import Budget
from ..edge.console import CONTEXT, Command, print_json, say, version_option
from .cli_options import OPTIONS, read_settings, read_source

if TYPE_CHECKING:
    from .job_tools import ConversionOutcome, ConversionSettings
    from .sources.job import ModelSource


@click.command(cls=Command, context_settings=CONTEXT, params=list(OPTIONS))
@click.argument("path", metavar="MODEL", type=click.Path(path_type=Path))
@version_option()
def main(
    path: Path, inspect: bool, doctor: bool, as_json: bool, budget: Budget | None, **options: Any
) -> None:
    """Convert MODEL to .tflite files, and score each for what it lost.

    MODEL is a run of edge-train, or one model's folder in it; or somebody else's Keras model (.keras, .h5),
    SavedModel or float .tflite, about which --labels and --normalization tell the rest.

    \b
    Examples:
      edge-convert run -o models
      edge-convert run/cnn -o models --variant int8 --budget size=1MB,p99=5ms
      edge-convert theirs.keras --labels labels.txt --normalization -1..1 \\
        --data photos/test --calibration photos/train -o models
      edge-convert --inspect anything.tflite
      edge-convert --doctor run/mobilenet_v2

    Every file is run on the labelled images with the interpreter that devices use, and carries its labels,
    preprocessing and measured accuracy inside. Its temperature, and the confidence below which it answers
    "unknown", are fitted to what it itself gives for other images.

    The exit status is 1 when images could not be read, when int8 loses too much and no repair helps, or
    when no file keeps the --budget.
    """
    if inspect:
        from .inspection.view import run_inspection

        run_inspection(path, as_json)
        return
    if options["output"] is None and not doctor:
        raise click.UsageError("Name the folder for the files: --output DIR.")
    source = read_source(path, options)
    if source.path.suffix != ".tflite":
        from .quiet import import_tensorflow

        import_tensorflow("Converting", "convert")
    settings = read_settings(options)
    if doctor:
        _examine(source, settings, as_json)
        return
    _convert(source, settings, budget, as_json)


def _convert(source: ModelSource, settings: ConversionSettings, budget: Budget | None, as_json: bool) -> None:
    from .repair.view import print_report
    from .run import convert
    from .sources.jobs import find_jobs
    from .tables import choose, print_tables

    outcome = convert(find_jobs(source, settings.target), settings, source.path.resolve().name)
    advice = choose(outcome.files, budget or Budget(), settings.max_drop)
    if as_json:
        for item in outcome.files:
            print_json({**item.to_json(), "recommended": item.file == advice.name})
    else:
        for report in outcome.repairs:
            print_report(report)
        print_tables(outcome.files, settings.output, advice)
    failed = _say_what_failed(outcome)
    if budget is not None and advice.name is None:
        say(f"--budget: {advice.reason}")
        failed = True
    if failed:
        raise click.exceptions.Exit(1)


def _say_what_failed(outcome: ConversionOutcome) -> bool:
    if outcome.skipped:
        say(f"Skipped, since they could not be read: {len(outcome.skipped)}; the rest was used")
    for sentence in outcome.unrepaired:
        say(sentence)
    return bool(outcome.skipped or outcome.unrepaired)


def _examine(source: ModelSource, settings: ConversionSettings, as_json: bool) -> None:
    from .int8_loss import examine_int8
    from .output import plot_file_name
    from .repair.view import print_report
    from .sources.jobs import find_jobs

    jobs = find_jobs(source, settings.target)
    reports = examine_int8(jobs, settings)
    for job, report in zip(jobs, reports, strict=True):
        if as_json:
            print_json(report.to_json())
        else:
            print_report(report)
            say(f"Plot: {settings.output / plot_file_name(job.name)}")
    if not all(report.chosen for report in reports):
        raise click.exceptions.Exit(1)
