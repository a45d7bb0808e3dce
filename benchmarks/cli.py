"""edge-benchmark: how fast, how large and how right is each model file, on this machine or another?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import click

from ..edge.cli_types import SectionedCommand
from ..edge.console import CONTEXT, version_option
from ..edge.delegates import parse_delegate_options
from ..edge.errors import OutputExistsError
from ..edge.files import refuse_to_overwrite, require_writable
from ..edge.modelfile import Normalization
from ..edge.runtime import Execution
from ..edge.sources.addresses import keep_secrets
from .budget import Budget
from .devices.target import AdbTarget, SshTarget
from .options import DATA, MORE, RESULTS, RUNNING, WHERE
from .request import Request

_COMPARE_TAKES = ("files", "compare", "max_regression", "output", "report", "as_json", "force")


@dataclass(frozen=True)
class Options:
    """The options as click parsed them; see cli_options.py."""

    threads: tuple[int, ...]
    runtimes: tuple[str, ...] | None
    delegate: str | None
    delegate_options: tuple[str, ...]
    delegate_fallback: bool
    runs: int | None
    processes: int
    base: Path | None
    data: Path | None
    images: Path | None
    split: Path | None
    labels: Path | None
    normalization: Normalization | None
    stages: bool
    camera: str | None
    by_operation: bool
    soak: float | None
    targets: tuple[SshTarget | AdbTarget, ...]
    sample: int
    wheels: tuple[Path, ...]
    keep: bool
    benchmark_model: Path | None
    as_json: bool
    markdown: bool
    output: Path | None
    report: Path | None
    force: bool
    compare: bool
    baseline: Path | None
    max_regression: float
    budget: Budget | None

    def executions(self) -> tuple[Execution, ...]:
        """Return every runtime with every number of threads; raises OptionError."""
        pairs = parse_delegate_options(self.delegate_options)
        return tuple(
            Execution(runtime, threads, self.delegate, pairs, self.delegate_fallback)
            for runtime in self.runtimes or (None,)
            for threads in self.threads
        )

    def request(self, files: tuple[Path, ...]) -> Request:
        """Return what is to be measured here; raises OptionError and DatasetError."""
        from .scoring.labelled import labelled_images

        data = labelled_images(self.data, self.images) if self.data is not None else None
        return Request(
            files,
            self.executions(),
            self.runs,
            self.processes,
            self.base,
            self.soak,
            data,
            self.split,
            self.labels,
            self.normalization,
            self.stages,
            self.camera,
            self.by_operation,
        )


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(list(chain(RUNNING, DATA, MORE, WHERE, RESULTS))):
        command = option(command)
    return command


@click.command(cls=SectionedCommand, context_settings=CONTEXT)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@_options
@version_option()
@click.pass_context
def main(ctx: click.Context, /, files: tuple[Path, ...], **given: Any) -> None:
    """Measure latency, memory and size of model files, and with --data their accuracy.

    \b
    Examples:
      edge-benchmark models/*.tflite --data run --report report.html
      edge-benchmark models/*.tflite --threads 1,2,4 --budget p99=20ms,drop=1
      edge-benchmark models/*.tflite --data run --on pi@raspberrypi.local
      edge-benchmark cnn_int8.tflite --baseline last-week.jsonl
      edge-benchmark --compare last-week.jsonl today.jsonl

    Each model runs in processes of its own, and the models take turns, so that what else goes on here slows
    all of them. What went on is told: other programs, the clock, heat. Median, p90 and p99 are of single
    inferences, after a warm-up that lasts until their time is steady; peak memory is the whole process's,
    Python included.

    The exit status is 1 when something could not be measured, when it got worse than the --baseline by more
    than --max-regression, or when no file keeps the --budget.
    """
    options = Options(**given)
    _check(ctx, files, options)
    if options.camera is not None:
        keep_secrets(options.camera)
    from .run import compare, measure_here, measure_there

    do = compare if options.compare else measure_there if options.targets else measure_here
    raise click.exceptions.Exit(do(files, options))


def _check(ctx: click.Context, files: tuple[Path, ...], options: Options) -> None:
    """Refuse what goes not together, and what cannot be written, before anything is measured."""
    sources = click.core.ParameterSource
    named = [name for name in ctx.params if ctx.get_parameter_source(name) is sources.COMMANDLINE]
    if options.compare:
        if foreign := [name for name in named if name not in _COMPARE_TAKES]:
            names = {p.name: p.opts[0] for p in ctx.command.params}
            raise click.UsageError(f"--compare measures nothing: {names[foreign[0]]} does not go with it")
        if len(files) != 2:
            raise click.UsageError(f"--compare takes two files of results. Received: {len(files)}")
    elif "max_regression" in named and options.baseline is None:
        raise click.UsageError("--max-regression goes with --baseline or --compare, which is not given")
    elif "sample" in named and not (options.targets and options.data):
        raise click.UsageError("--sample goes with --on and --data, which are not given")
    _check_companions(options)
    if options.as_json and options.markdown:
        raise click.UsageError("--json and --markdown are two ways to print the results: choose one")
    if options.base is not None and options.base not in files:
        raise click.UsageError(f"--base must be one of the files to measure. Received: {options.base}")
    for option, path in (("--output", options.output), ("--report", options.report)):
        if path is not None:
            refuse_to_overwrite(path, options.force)
            require_writable(path)
            if path.resolve() in {file.resolve() for file in files}:
                raise OutputExistsError(
                    f"{option} {path} is one of the models or results to read. Name another"
                )
    if options.report is not None:
        from .report.report import require_jinja

        require_jinja()
    if options.report is not None and options.output == options.report:
        raise click.UsageError("--output and --report name the same file")


def _check_companions(options: Options) -> None:
    """Refuse options without the one that gives them a meaning, which would else be ignored."""
    pictures = options.data is not None or options.camera is not None
    needs = (
        ("--labels", options.labels, "--data or --camera", pictures),
        ("--normalization", options.normalization, "--data or --camera", pictures),
        ("--images", options.images, "--data", options.data is not None),
        ("--split", options.split, "--data", options.data is not None),
        ("--stages", options.stages, "--data", options.data is not None),
        ("--budget drop", options.budget and options.budget.drop, "--data", options.data is not None),
        ("--wheel", options.wheels, "--on", bool(options.targets)),
        ("--keep", options.keep, "--on", bool(options.targets)),
        (
            "--benchmark-model",
            options.benchmark_model,
            "--on adb",
            any(isinstance(target, AdbTarget) for target in options.targets),
        ),
        ("--delegate-option", options.delegate_options, "--delegate", options.delegate is not None),
        ("--delegate-fallback", options.delegate_fallback, "--delegate", options.delegate is not None),
    )
    for name, given, companion, there in needs:
        if given and not there:
            raise click.UsageError(f"{name} goes with {companion}, which is not given")
