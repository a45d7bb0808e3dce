"""Usage: python studies/neighbour.py MODEL.tflite [--measurements 8] [--threads 1]

Claim: a busy neighbour does not change a median without a warning.

The model is measured eight times, each time in new processes. During every second measurement another program
keeps one core busy. The exit status is 1 unless the medians vary by less than 5 % (largest over smallest), or
those measurements and no others have the caveat "neighbours".
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from edge_classify.benchmarks.measuring.plan import CheckedModel, ModelRun, Plan
from edge_classify.benchmarks.measuring.turns import measure
from edge_classify.benchmarks.results.result import Failure, Result
from edge_classify.edge.runtime import Execution

LIMIT = 0.05


@contextmanager
def neighbour(busy: bool) -> Iterator[None]:
    """Keep a core busy during the block, if `busy`."""
    if not busy:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        try:
            yield
        finally:
            child.kill()


def look(model: Path, threads: int) -> Result:
    """Measure the model once."""
    model_run = ModelRun(CheckedModel.read(model), Execution(threads=threads))
    (found,) = measure(Plan((model_run,)), lambda count=1, note="": None)
    if isinstance(found, Failure):
        raise click.ClickException(found.error)
    return found


def spread(medians: list[float]) -> float:
    """Return by how much the largest is above the smallest."""
    return max(medians) / min(medians) - 1


@click.command(help=__doc__)
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.option("--measurements", default=8, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(model: Path, measurements: int, threads: int) -> None:
    """Measure with and without a neighbour, and print the caveats."""
    medians: dict[bool, list[float]] = {False: [], True: []}
    all_told = True
    for number in range(measurements):
        busy = bool(number % 2)
        with neighbour(busy):
            found = look(model, threads)
        latency, others = found.latency, found.conditions.neighbours or 0.0
        told = any(caveat.kind == "neighbours" for caveat in found.conditions.warnings)
        all_told = all_told and told == busy
        medians[busy].append(latency.median_ms)
        low, high = latency.median_ci95
        ratio = f"{found.yardstick.ratio:.2f}" if found.yardstick else "-"
        click.echo(
            f"{'with' if busy else 'without'} a neighbour: {latency.median_ms:.3f} ms "
            f"({low:.3f} to {high:.3f}), {ratio} yardsticks, {others:.2f} cores busy, "
            f"{'caveat' if told else 'no caveat'}"
        )
    for busy, values in medians.items():
        name = "with" if busy else "without"
        click.echo(f"{name}: median {statistics.median(values):.3f} ms, spread {spread(values):.1%}")
    whole = spread(medians[False] + medians[True])
    click.echo(f"spread of all {whole:.1%}; caveats {'just where due' if all_told else 'not just where due'}")
    if whole >= LIMIT and not all_told:
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
