"""Figures that cannot be, in results that were read from a file: what compares them need not look again."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...edge.errors import BenchmarkError
from .result import Result


def check_figures(result: Result) -> None:
    """Raise BenchmarkError when a figure that is divided by, or that is counted or a share, is none."""
    latency = result.latency
    for name in ("load_ms", "first_ms", "median_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms"):
        _require(name, getattr(latency, name), getattr(latency, name) > 0, "above 0")
    for name in ("runs", "processes"):
        _require(name, getattr(latency, name), getattr(latency, name) >= 1, "at least 1")
    _require("threads", result.subject.threads, result.subject.threads >= 1, "at least 1")
    _require("size_bytes", result.subject.size_bytes, result.subject.size_bytes >= 1, "at least 1")
    _check_blocks("blocks", latency.blocks)
    if result.yardstick is not None:
        _check_blocks("yardstick.blocks", result.yardstick.blocks)
    if result.accuracy is not None:
        images, top1 = result.accuracy.images, result.accuracy.top1
        _require("accuracy.images", images, images >= 1, "at least 1")
        _require("accuracy.top1", top1, 0 <= top1 <= 1, "0 to 1")


def _check_blocks(name: str, blocks: Sequence[Sequence[float]]) -> None:
    _require(name, len(blocks), len(blocks) > 0 and all(blocks), "of at least one block of each process")
    lowest = min(value for process in blocks for value in process)
    _require(name, lowest, lowest > 0 and math.isfinite(math.log(lowest)), "above 0")


def _require(name: str, value: object, right: bool, rule: str) -> None:
    if not right:
        raise BenchmarkError(f"{name} must be {rule}. Received: {value}")
