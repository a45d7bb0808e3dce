"""Usage: python studies/conversion_time.py RUN/MODEL [--data DIR] [--rounds 3]

Claim: all default variants of a model together take little more time than the slowest of them alone.

Each measurement is a new process, in which TensorFlow is already loaded when the clock starts: it loads the
model, chooses the calibration images, traces, and converts. Nothing is scored. Printed are medians of the
rounds.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

import click

_VARIANTS = ("float32", "float16", "dynamic", "int8")
_PROGRAM = """
import sys, time
from pathlib import Path
from edge_classify.convert.quiet import import_tensorflow
import_tensorflow("Converting", "convert")
from edge_classify.convert.sources.job import ModelSource
from edge_classify.convert.sources.jobs import find_jobs
from edge_classify.convert.recipes import RECIPES
from edge_classify.convert.job_tools import ConversionOutcome, ConversionSettings, open_job_tools

path, data, *variants = sys.argv[1:]
recipes = tuple(RECIPES[name] for name in variants)
started = time.monotonic()
(job,) = find_jobs(ModelSource(Path(path), data=Path(data) if data else None), None)
tools = open_job_tools(job, ConversionSettings(recipes, Path()), ConversionOutcome())
for recipe in recipes:
    tools.maker.make(recipe, job.card.output.temperature)
print(time.monotonic() - started)
"""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.option("--data", default="", metavar="DIR", help="Where the run's images are now, if they moved.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
def main(model: Path, data: str, rounds: int) -> None:
    """Measure each default variant of MODEL alone, and all together."""
    jobs = [*((name,) for name in _VARIANTS), _VARIANTS]
    seconds: dict[tuple[str, ...], list[float]] = {variants: [] for variants in jobs}
    for _ in range(rounds):
        for variants in jobs:
            seconds[variants].append(_measure(model, data, variants))
    medians = {variants: statistics.median(values) for variants, values in seconds.items()}
    for variants, median in medians.items():
        click.echo(f"{' + '.join(variants):<40} {median:6.2f} s")
    slowest = max(medians[variants] for variants in jobs[:-1])
    click.echo(f"all / slowest alone: {medians[_VARIANTS] / slowest:.2f}")


def _measure(model: Path, data: str, variants: tuple[str, ...]) -> float:
    command = [sys.executable, "-c", _PROGRAM, str(model), data, *variants]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise click.ClickException(result.stderr.strip())
    return float(result.stdout)


if __name__ == "__main__":
    main()
