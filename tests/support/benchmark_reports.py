"""Reports of made-up results, which the program's own reader read back."""

from __future__ import annotations

from pathlib import Path

from edge_classify.benchmarks.report.report import write_report
from edge_classify.benchmarks.results.reading import read_results, write_results
from edge_classify.benchmarks.results.result import Failure, Result

from .benchmark_results import accuracy, cold_start, failure, operations, pairing, ratio, result, soak, stages

# A variant of each of two models takes 0.30 to 0.53 ms, and all are right on 97 or 98 % of the images.
_EIGHT = {
    "cnn_float32": (0.41, 0.972), "cnn_float16": (0.42, 0.972), "cnn_dynamic": (0.40, 0.972),
    "cnn_int8": (0.30, 0.969), "mobilenet_v2_float32": (0.52, 0.983), "mobilenet_v2_float16": (0.53, 0.983),
    "mobilenet_v2_dynamic": (0.47, 0.981), "mobilenet_v2_int8": (0.36, 0.983),
}  # fmt: skip


def eight_files() -> list[Result | Failure]:
    """Return the results of eight files within a factor of two, and of one that could not be measured."""
    made: list[Result | Failure] = [
        result(file=f"demo/models/{name}.tflite", median_ms=ms, accuracy=accuracy(top1, pairing=pairing()),
               stages=(stages(ms),), cold_start=cold_start(), operations=operations(ms), ratio=ratio(0.5),
               soak=soak(ms, minutes=2))
        for name, (ms, top1) in _EIGHT.items()
    ]  # fmt: skip
    return [*made, failure()]


def many_files(count: int, name: str = "m", step: float = 0.3) -> list[Result | Failure]:
    """Return results of files that get slower and worse by a step."""
    return [
        result(file=f"{name}{n}.tflite", median_ms=5 + step * n, accuracy=accuracy(0.95 - step * n / 200))
        for n in range(count)
    ]


def write_made_up_report(folder: Path, results: list[Result | Failure]) -> Path:
    """Return the report of results that the program's own reader read back."""
    write_results(folder / "results.jsonl", results)
    write_report(folder / "report.html", read_results(folder / "results.jsonl"))
    return folder / "report.html"
