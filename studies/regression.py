"""Usage: python studies/regression.py

Claim: edge-benchmark --baseline fails when a model got slower by more than 5 %, and only then.

A model of convolutions is measured, then measured again several times, and then a model with a tenth more of
them, which is not larger. Each measurement is a process of edge-benchmark. The exit status is 1 unless the
last one alone fails.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import click
from edge_classify.benchmarks.operations.best_rate import Convolution, write_model

LAYERS = 20
SHAPE = Convolution(14, 128, 3)
COMMAND = [str(Path(sys.executable).with_name("edge-benchmark"))]


@click.command()
@click.option("--repeats", default=10, show_default=True, help="Runs of the unchanged model.")
@click.option("--planted", default=3, show_default=True, help="Runs of the slower model.")
@click.option("--slower", default=10, show_default=True, help="By how many per cent it is slower.")
@click.option("--dtype", type=click.Choice(["int8", "float32"]), default="int8", show_default=True)
@click.option("--limit", default="5%", show_default=True, help="What --max-regression is given.")
def main(repeats: int, planted: int, slower: int, dtype: str, limit: str) -> None:
    """Print the judgement of each run; the exit status is 1 where the claim fails."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, baseline = folder / "model.tflite", folder / "baseline.jsonl"
        model.write_bytes(write_model(SHAPE, dtype, LAYERS))
        subprocess.run(
            [*COMMAND, model, "--output", baseline, "--json"], check=True, stdout=subprocess.DEVNULL
        )
        alarms = [judge(model, baseline, limit, f"unchanged {number}") for number in range(1, repeats + 1)]
        model.write_bytes(write_model(SHAPE, dtype, LAYERS + round(LAYERS * slower / 100)))
        caught = [judge(model, baseline, limit, f"slower {number}") for number in range(1, planted + 1)]
    click.echo(
        f"{sum(alarms)} false alarms in {repeats} runs; {sum(caught)} of {planted} slower runs were caught"
    )
    sys.exit(any(alarms) or not all(caught))


def judge(model: Path, baseline: Path, limit: str, title: str) -> bool:
    """Return whether edge-benchmark calls it a regression."""
    arguments = [str(model), "--baseline", str(baseline), "--max-regression", limit, "--json"]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    (found,) = next(line["comparison"]["pairs"] for line in lines if "comparison" in line)
    low, high = found["ci95"]
    click.echo(
        f"{title:14} {found['before_ms']:.3f} -> {found['after_ms']:.3f} ms  {found['change']:+.1%} "
        f"({low:+.1%} to {high:+.1%}) by {found['basis']}: {found['verdict']}, exit status {done.returncode}"
    )
    return done.returncode == 1


if __name__ == "__main__":
    main()
