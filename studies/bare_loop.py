"""Usage: python studies/bare_loop.py MODEL.tflite [--rounds 5] [--threads 1]

Claim: the medians of edge-benchmark are those of a bare loop of invoke(): measuring adds nothing.

In each round a bare loop of 15 lines runs in its own process, and gets a turn after every turn of the model
in the measurement, so that both run on the same machine at the same time. The exit status is 1 where the
medians of all rounds together differ by 3 % or more.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import click
from edge_classify.benchmarks.measuring.plan import CheckedModel, ModelRun, Plan
from edge_classify.benchmarks.measuring.turns import measure
from edge_classify.benchmarks.results.result import Failure
from edge_classify.edge.runtime import Execution

LIMIT = 0.03
SCRIPT = """
import json, sys, time
import numpy as np
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter(sys.argv[1], num_threads=int(sys.argv[2]))
interpreter.allocate_tensors()
given = interpreter.get_input_details()[0]
pixels = np.random.default_rng(0).integers(0, 256, given["shape"])
interpreter.set_tensor(given["index"], pixels.astype(given["dtype"]))
for runs in map(int, sys.stdin):
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        interpreter.invoke()
        times.append((time.perf_counter() - started) * 1000)
    print(json.dumps(times), flush=True)
"""
WARM_UP = 50
BLOCK, SKIPPED = 25, 5  # Of each turn the first runs find other programs' data in the caches.


class BareLoop:
    """The loop's process, and its times."""

    def __init__(self, model: Path, threads: int) -> None:
        """Start it, and warm it up."""
        command = [sys.executable, "-c", SCRIPT, str(model), str(threads)]
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.times: list[float] = []
        self._ask(WARM_UP)

    def take_turn(self, count: int = 1, note: str = "") -> None:
        """Run a block; called as the progress bar of a measurement, after each of its rounds."""
        if note:
            self.times += self._ask(BLOCK + SKIPPED)[SKIPPED:]

    def close(self) -> None:
        """End the process."""
        self._child.communicate()

    def _ask(self, runs: int) -> list[float]:
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.write(f"{runs}\n")
        self._child.stdin.flush()
        times: list[float] = json.loads(self._child.stdout.readline())
        return times


def compare(model: Path, threads: int) -> tuple[float, float]:
    """Return the medians of a measurement and of the bare loop, ms."""
    loop = BareLoop(model, threads)
    model_run = ModelRun(CheckedModel.read(model), Execution(threads=threads))
    (found,) = measure(Plan((model_run,), processes=1, yardstick=False), loop.take_turn)
    loop.close()
    if isinstance(found, Failure):
        raise click.ClickException(found.error)
    return found.latency.median_ms, statistics.median(loop.times)


@click.command(help=__doc__)
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.option("--rounds", default=5, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(model: Path, rounds: int, threads: int) -> None:
    """Compare both, and print medians and their ratio."""
    found = []
    for _ in range(rounds):
        ours, bare = compare(model, threads)
        found.append((ours, bare))
        click.echo(f"edge-benchmark {ours:.3f} ms, bare loop {bare:.3f} ms: {ours / bare - 1:+.1%}")
    ours, bare = (statistics.median(column) for column in zip(*found, strict=True))
    ratio = statistics.median(pair[0] / pair[1] for pair in found)
    click.echo(f"medians {ours:.3f} and {bare:.3f} ms; median of the ratios {ratio:.3f}")
    if abs(ratio - 1) >= LIMIT:
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
