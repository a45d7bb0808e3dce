"""Usage: python -m studies.heap PHOTOS [--rounds 3] [-- OPTIONS of edge-train]

Claim: edge-train takes less time where freed memory stays in its process, and learns the same.

Each round trains twice, once as edge-train does and once with glibc's own default, in turns. Printed are the
seconds of both, the median of their ratios, the highest memory, and whether all epochs had equal losses.
"""

from __future__ import annotations

import csv
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from studies.measured_command import Cost, run_measured

# Any setting of the user's stays; this is the one that glibc has by itself.
_AS_IT_IS = {"MALLOC_TOP_PAD_": str(128 << 10)}


@dataclass(frozen=True)
class Training:
    """What a training took, and the losses of its epochs by model."""

    cost: Cost
    losses: dict[str, list[str]]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("photos", type=click.Path(exists=True, path_type=Path))
@click.argument("options", nargs=-1)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
def main(photos: Path, options: tuple[str, ...], rounds: int) -> None:
    """Train on PHOTOS with OPTIONS, with freed memory kept and without."""
    ratios, same = [], True
    for number in range(rounds):
        kept, plain = (_train(photos, options, given) for given in ({}, _AS_IT_IS))
        ratios.append(kept.cost.seconds / plain.cost.seconds)
        same &= kept.losses == plain.losses
        click.echo(
            f"round {number + 1}: {kept.cost.seconds:.1f} s kept, {plain.cost.seconds:.1f} s as it is; "
            f"{kept.cost.peak / 1e6:.0f} and {plain.cost.peak / 1e6:.0f} MB"
        )
    click.echo(f"kept / as it is: {statistics.median(ratios):.2f}; {'equal' if same else 'OTHER'} losses")


def _train(photos: Path, options: tuple[str, ...], given: dict[str, str]) -> Training:
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        program = Path(sys.executable).with_name("edge-train")
        cost = run_measured([program, photos, "--output", run, "--cache", "none", *options], given)
        return Training(cost, _losses(run))


def _losses(run: Path) -> dict[str, list[str]]:
    """Return the losses of all epochs by model."""
    found = {}
    for path in run.glob("*/history.csv"):
        with path.open(newline="") as file:
            found[path.parent.name] = [row["loss"] for row in csv.DictReader(file)]
    return found


if __name__ == "__main__":
    main()
