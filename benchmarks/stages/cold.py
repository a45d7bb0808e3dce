"""One photo, from the start of edge-classify to its end."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from ...edge.errors import BenchmarkError
from ...edge.modelfile import Normalization
from ...edge.runtime import Execution
from ..results.result import ColdStart

RUNS = 7
_TIMEOUT_S = 120.0
_LONGEST_REASON = 500
# What the command edge-classify runs. Without the working folder on the path: a user's numpy.py there is not
# ours to import.
_START = "import sys; sys.path[:] = filter(None, sys.path)\nfrom edge_classify.edge.__main__ import main\n"
_PROGRAM = f"{_START}main()"
_WITH_PEAK = f"""{_START}
try:
    main()
finally:
    from {__package__.rpartition(".")[0]}.measuring.memory import peak_rss_mb
    print(peak_rss_mb(), file=sys.stderr)
"""


def measure_cold_start(
    path: Path,
    image: Path,
    execution: Execution = Execution(),  # noqa: B008 - frozen.
    labels: Path | None = None,
    normalization: Normalization | None = None,
    runs: int = RUNS,
) -> ColdStart:
    """Run `edge-classify --model path image` so many times, and return how long a whole process takes.

    One run before them is not counted: it brings the files into the system's page cache, as a device that
    classifies now and then has them. The peak of resident memory is from one further run: it is all of the
    process, Python and shared libraries included. `labels` (a file) and `normalization` are for a model that
    carries none. Raises BenchmarkError, with what it said, when edge-classify fails.
    """
    options = [str(image.absolute()), *_options(path, execution, labels, normalization)]
    _run(_PROGRAM, options)
    milliseconds = [_run(_PROGRAM, options)[0] for _ in range(runs)]
    peak = _run(_WITH_PEAK, options)[1].split()[-1]
    return ColdStart(
        median_ms=round(statistics.median(milliseconds), 3),
        lowest_ms=round(min(milliseconds), 3),
        highest_ms=round(max(milliseconds), 3),
        runs=runs,
        peak_mb=None if peak == "None" else round(float(peak), 1),
    )


def _options(
    path: Path, execution: Execution, labels: Path | None, normalization: Normalization | None
) -> list[str]:
    """Return what edge-classify is told to run the model so."""
    given = {
        "--model": str(path.absolute()),
        "--labels": str(labels.absolute()) if labels else None,
        "--normalization": as_option(normalization) if normalization else None,
        "--runtime": execution.runtime,
        "--threads": str(execution.threads),
        "--delegate": execution.delegate,
    }
    options = [part for name, value in given.items() if value is not None for part in (name, value)]
    for key, value in execution.delegate_options:
        options += ["--delegate-option", f"{key}={value}"]
    flags = {"--delegate-fallback": execution.delegate_fallback, "--untrusted": execution.untrusted}
    return [*options, *(name for name, chosen in flags.items() if chosen)]


def as_option(normalization: Normalization) -> str:
    """Return MEAN,STD as --normalization reads it, without exponents."""
    channels = max(len(normalization.mean), len(normalization.std))
    values = [
        value for part in normalization for value in (part if len(part) == channels else part * channels)
    ]
    return ",".join(np.format_float_positional(value, trim="-") for value in values)


def _run(code: str, options: list[str]) -> tuple[float, str]:
    """Return milliseconds from start to exit of one process, and what it said; raises BenchmarkError."""
    command = [sys.executable, "-c", code, *options]
    quiet, heard = subprocess.DEVNULL, subprocess.PIPE
    started = time.perf_counter()
    try:
        done = subprocess.run(
            command, stdout=quiet, stderr=heard, timeout=_TIMEOUT_S, env=_environment(), check=False
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"edge-classify took longer than {_TIMEOUT_S:g} s for {options[0]}") from None
    elapsed = (time.perf_counter() - started) * 1000
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode != 0:
        reason = "; ".join(said.splitlines())[-_LONGEST_REASON:] or "it said nothing"
        raise BenchmarkError(f"edge-classify {options[0]} ended with status {done.returncode}: {reason}")
    return elapsed, said


def _environment() -> dict[str, str]:
    """Return the environment without what edge-classify reads from it: no answer is to be published."""
    return {name: value for name, value in os.environ.items() if not name.startswith("EDGE_CLASSIFY_")}
