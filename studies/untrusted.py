"""Usage: python studies/untrusted.py MODEL.tflite PHOTO [--rounds 15] [--photos 50]

Claim: --untrusted makes a single photo, as a whole process, take about twice as long, and adds about a
millisecond to each photo of a run, for carrying the file and its pixels between processes.

Cold start: edge-classify with and without --untrusted, in new processes, in turn. In a run: decoding and
inference of one photo in this process, and by the processes of --untrusted, in turn. Medians are printed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.decoding import decoded_by
from edge_classify.edge.isolation.pictures import IsolatedDecoder
from edge_classify.edge.runtime import Execution

COMMAND = (sys.executable, "-m", "edge_classify.edge")


def milliseconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def run(*arguments: str) -> None:
    """Run edge-classify; raises CalledProcessError where it fails."""
    subprocess.run([*COMMAND, *arguments], check=True, capture_output=True)


@click.command(help=__doc__)
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.argument("photo", type=click.Path(exists=True, path_type=Path))
@click.option("--rounds", default=15, show_default=True, help="Whole processes of each kind.")
@click.option("--photos", default=50, show_default=True, help="Photos of each kind in a run.")
def main(model: Path, photo: Path, rounds: int, photos: int) -> None:
    """Measure both, and print medians."""
    plain, apart = ["--model", str(model), str(photo)], ["--untrusted", "--model", str(model), str(photo)]
    run(*apart)  # Reads the disk.
    whole = [(milliseconds(lambda: run(*plain)), milliseconds(lambda: run(*apart))) for _ in range(rounds)]
    show("one photo, the whole process", whole)
    here = Classifier.from_file(model)
    there = Classifier.from_file(model, execution=Execution(untrusted=True))
    decoder = IsolatedDecoder()
    with decoded_by(decoder):
        there.classify(photo)
    here.classify(photo)
    taken = []
    for _ in range(photos):
        mine = milliseconds(lambda: here.classify(photo))
        with decoded_by(decoder):
            taken.append((mine, milliseconds(lambda: there.classify(photo))))
    decoder.close()
    show("one more photo in a run", taken)


def show(what: str, pairs: list[tuple[float, float]]) -> None:
    """Print the medians of both columns and of their difference."""
    plain, apart = (statistics.median(column) for column in zip(*pairs, strict=True))
    added = statistics.median(second - first for first, second in pairs)
    click.echo(f"{what}: {plain:.1f} ms, with --untrusted {apart:.1f} ms; added {added:.1f} ms")


if __name__ == "__main__":
    main()
