"""The output of TensorFlow Lite's benchmark_model."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...edge.errors import BenchmarkError

_NUMBER = r"([0-9.]+(?:e[+-]?[0-9]+)?)"
_SUMMARY = re.compile(
    rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, "
    rf"Warmup \(avg\): {_NUMBER}, Inference \(avg\): {_NUMBER}"
)
_SERIES = re.compile(r"^.*?\bcount=\d+ .*$", re.MULTILINE)
_VALUE = re.compile(rf"\b(\w+)={_NUMBER}")
_PEAK = re.compile(rf"Overall peak memory footprint \(MB\) via periodic monitoring: {_NUMBER}")
_GROWTH = re.compile(
    rf"(?:Peak memory footprint|Memory footprint delta from the start of the tool) \(MB\): init={_NUMBER} "
    rf"overall={_NUMBER}"
)
_MEBI = 1.048576  # Its "MB" are 1024 kB: max_rss_kb / 1024 in benchmark_model.cc.


@dataclass(frozen=True)
class Figures:
    """What it tells: times in ms, memory in MB (10^6 bytes), None where this version does not tell.

    `mean_ms` is an average, not a median; `median_ms` and `p95_ms` come from newer versions only.
    `memory_growth_mb` is what its resident memory grew by since the tool itself started.
    """

    init_ms: float
    first_ms: float
    warm_up_mean_ms: float
    mean_ms: float
    runs: int | None = None
    min_ms: float | None = None
    max_ms: float | None = None
    std_ms: float | None = None
    median_ms: float | None = None
    p95_ms: float | None = None
    memory_growth_mb: float | None = None
    peak_memory_mb: float | None = None


def parse(text: str) -> Figures:
    """Read the output of one run; of several, the last. Raises BenchmarkError where it holds no figures."""
    summaries = list(_SUMMARY.finditer(text))
    if not summaries:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("ERROR", "error:")) or "Failed" in line]
        raise BenchmarkError((errors or lines or ["it said nothing"])[-1])
    summary = summaries[-1]
    init, first, warm_up, mean = (float(value) / 1000 for value in summary.groups())
    # The last series before the summary is of the timed runs, the one before it of the warm-up.
    series = list(_SERIES.finditer(text, 0, summary.start()))
    told = dict(_VALUE.findall(series[-1][0])) if series else {}
    ms = {name: float(value) / 1000 for name, value in told.items() if name != "count"}
    growth, peak = _GROWTH.search(text, summary.end()), _PEAK.search(text)
    return Figures(
        init_ms=init,
        first_ms=first,
        warm_up_mean_ms=warm_up,
        mean_ms=mean,
        runs=int(told["count"]) if "count" in told else None,
        min_ms=ms.get("min"),
        max_ms=ms.get("max"),
        std_ms=ms.get("std"),
        median_ms=ms.get("median"),
        p95_ms=ms.get("p95"),
        memory_growth_mb=float(growth[2]) * _MEBI if growth else None,
        peak_memory_mb=float(peak[1]) * _MEBI if peak else None,
    )
