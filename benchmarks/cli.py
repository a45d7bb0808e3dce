"""edge-benchmark: how fast, how large and how right is each model file, on this machine or another?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..edge.console import CONTEXT, say, version_option
from ..edge.errors import OutputExistsError
from ..edge.files import refuse_to_overwrite, require_writable
from ..edge.help import SectionedCommand
from ..edge.interrupts import loading
from ..edge.option_rules import goes_with
from ..edge.parts import describe_left_over
from ..edge.sources.addresses import keep_secrets
from .options import OPTIONS, read_remote_options, read_request, read_result_options
from .request import ResultOptions


@click.command(cls=SectionedCommand, context_settings=CONTEXT, params=list(OPTIONS))
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@version_option()
@click.pass_context
def main(ctx: click.Context, /, files: tuple[Path, ...], **options: Any) -> None:
    """Measure latency, memory and size of model files, and with --data their accuracy.

    \b
    Examples:
      edge-benchmark models/*.tflite --data run --report report.html
      edge-benchmark models/*.tflite --threads 1,2,4 --budget p99=20ms,drop=1
      edge-benchmark models/*.tflite --data run --on pi@raspberrypi.local
      edge-benchmark cnn_int8.tflite --baseline last-week.jsonl
      edge-benchmark --compare last-week.jsonl today.jsonl

    Each model runs in processes of its own, and the models take turns, so that other load slows all of
    them. Such load is reported: other programs, the clock, heat. Median, p90 and p99 are of single
    inferences, after a warm-up that lasts until their time is steady; peak memory is the whole process's,
    Python included.

    The exit status is 1 when something could not be measured, when a model is not better than chance on
    --data, when it got worse than the --baseline by more than --max-regression, or when no file keeps the
    --budget.
    """
    results = read_result_options(options)
    _check(ctx, files, options, results)
    if options["camera"] is not None:
        keep_secrets(options["camera"])
    with loading():
        from .run import compare, measure_here, measure_there

    if options["compare"]:
        judged = ctx.get_parameter_source("max_regression") is ParameterSource.COMMANDLINE
        status = compare(files, results, results.max_regression if judged else None)
    elif options["targets"]:
        status = measure_there(read_request(files, options), read_remote_options(options), results)
    else:
        status = measure_here(read_request(files, options), results)
    raise click.exceptions.Exit(status)


def _check(
    ctx: click.Context, files: tuple[Path, ...], options: Mapping[str, Any], results: ResultOptions
) -> None:
    """Refuse values that contradict each other, and files that cannot be written, before measuring."""
    if options["compare"] and len(files) != 2:
        raise click.UsageError(f"--compare takes two files of results. Received: {len(files)}")
    if results.budget is not None and results.budget.drop is not None and options["data"] is None:
        raise goes_with(ctx, "--budget drop", "--data")
    if options["base"] is not None and options["base"] not in files:
        raise click.UsageError(f"--base must be one of the files to measure. Received: {options['base']}")
    for option, path in (("--output", results.output), ("--report", results.report)):
        if path is not None:
            refuse_to_overwrite(path, results.force)
            require_writable(path)
            if remark := describe_left_over(path.absolute().parent):
                say(remark)
            if path.resolve() in {file.resolve() for file in files}:
                raise OutputExistsError(
                    f"{option} {path} is one of the models or results to read. Name another"
                )
    if results.report is not None:
        from .report.report import require_jinja

        require_jinja()
        if results.output == results.report:
            raise click.UsageError("--output and --report name the same file")
