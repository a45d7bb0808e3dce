"""The time of an inference of all files of a set, measured by edge-benchmark in one run, in turn."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from edge_classify.benchmarks.results.reading import read_results
from edge_classify.benchmarks.results.result import Result
from edge_classify.edge.files import write_atomically
from edge_classify.edge.json_files import JsonError, read_json

FILE = "inference-time.json"
_SHOWN_LINES = 6  # Of a benchmark that failed.


@dataclass(frozen=True)
class InferenceTime:
    """The median of single inferences in ms with its 95 % interval, one thread; and the machine's name."""

    median_ms: float
    low_ms: float
    high_ms: float
    machine: str


def measure(files: Mapping[str, Path], folder: Path) -> dict[str, InferenceTime]:
    """Return the time of each file; as kept in `folder`, where it was measured with the same files.

    Raises ClickException when edge-benchmark fails.
    """
    hashes = {key: hashlib.sha256(path.read_bytes()).hexdigest() for key, path in files.items()}
    try:
        kept = read_json(folder, FILE)
    except (FileNotFoundError, JsonError):
        kept = {}
    if kept.get("files") != hashes:
        kept = {"files": hashes, "times": {key: asdict(one) for key, one in _benchmark(files).items()}}
        write_atomically(folder / FILE, json.dumps(kept, indent=1) + "\n")
    return {key: InferenceTime(**one) for key, one in kept["times"].items()}


def _benchmark(files: Mapping[str, Path]) -> dict[str, InferenceTime]:
    with tempfile.TemporaryDirectory(prefix="rivals-") as folder:
        results = Path(folder) / "results.jsonl"
        command = [sys.executable, "-m", "edge_classify.benchmarks", *map(str, files.values())]
        done = subprocess.run(
            [*command, "--output", str(results)], capture_output=True, text=True, check=False
        )
        every = read_results(results) if results.exists() else []
        found = {one.file: one for one in every if isinstance(one, Result)}
    if missing := [str(path) for path in files.values() if str(path) not in found]:
        said = " ".join(done.stderr.splitlines()[-_SHOWN_LINES:])
        raise click.ClickException(
            f"edge-benchmark did not measure {missing[0]} (exit status {done.returncode}): {said}"
        )
    return {key: _time(found[str(path)]) for key, path in files.items()}


def _time(result: Result) -> InferenceTime:
    low, high = result.latency.median_ci95
    machine = f"{result.host.name}, {result.host.cores} cores"
    return InferenceTime(result.latency.median_ms, low, high, machine)
