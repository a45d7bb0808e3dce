"""One photo, from the start of edge-classify to its end."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from ...edge.cli_options import MODEL
from ...edge.command_line import to_arguments
from ...edge.errors import BenchmarkError
from ...edge.foreign import NO_FACTS, ForeignFacts
from ...edge.processes import describe_end, python_command, run
from ...edge.runtime import Execution
from ..results.result import ColdStart

RUNS = 7
_TIMEOUT_S = 120.0
_LONGEST_REASON = 500
# The program behind the command edge-classify.
_PROGRAM = "from edge_classify.edge.__main__ import main; main()"
_WITH_PEAK = f"""from edge_classify.edge.__main__ import main
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
    facts: ForeignFacts = NO_FACTS,
    runs: int = RUNS,
) -> ColdStart:
    """Run `edge-classify --model path image` several times, and return how long a whole process takes.

    One run before them is not counted: it brings the files into the system's page cache, where a device that
    classifies now and then has them. The peak of resident memory is from one more run: that of the whole
    process, Python and shared libraries included. `labels`, a file, and the other `facts` are for a model
    without a card. Raises BenchmarkError with the reason where edge-classify fails.
    """
    options = [str(image.absolute()), *runner_options(path, execution, labels, facts)]
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


def runner_options(
    path: Path,
    execution: Execution,
    labels: Path | None,
    facts: ForeignFacts = NO_FACTS,
) -> list[str]:
    """Return the options of edge-classify that run the model in this way."""
    values = {
        "models": (path.absolute(),),
        "labels": labels.absolute() if labels else None,
        "normalization": facts.normalization,
        "color": facts.color,
        "outputs": facts.outputs,
        "output_index": facts.output_index,
        "runtime": execution.runtime,
        "threads": execution.threads,
        "delegate": execution.delegate,
        "delegate_options": tuple(f"{key}={value}" for key, value in execution.delegate_options),
        "delegate_fallback": execution.delegate_fallback,
        "untrusted": execution.untrusted,
    }
    return to_arguments(MODEL, values)


def _run(code: str, options: list[str]) -> tuple[float, str]:
    """Return the milliseconds of one process from start to exit, and its stderr; raises BenchmarkError."""
    command = python_command(code, *options)
    started = time.perf_counter()
    # Without the variables of edge-classify, as all children: no answer may be published.
    done = run(command, _TIMEOUT_S)
    elapsed = (time.perf_counter() - started) * 1000
    if done.status is None:
        raise BenchmarkError(f"edge-classify took longer than {_TIMEOUT_S:g} s for {options[0]}")
    errors = done.errors.decode(errors="replace").strip()
    if done.status != 0:
        reason = describe_end(done.status, "; ".join(errors.splitlines())[-_LONGEST_REASON:])
        raise BenchmarkError(f"edge-classify {options[0]} {reason}")
    return elapsed, errors
