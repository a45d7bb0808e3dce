"""The options of edge-benchmark, by what they are about."""

from __future__ import annotations

from pathlib import Path

import click

from ..edge.cli_types import ParsedType, section
from ..edge.console import NormalizationType
from ..edge.runtime import MAX_THREADS, RUNTIMES
from .budget import Budget
from .devices.target import Target
from .measuring.plan import PROCESSES
from .results.compare import parse_share

_PATH = click.Path(path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


def parse_thread_counts(text: str) -> tuple[int, ...]:
    """Read numbers of threads such as "1,2,4"; raises ValueError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) < 5 and 1 <= int(part) <= MAX_THREADS for part in parts):
        raise ValueError(f"must be 1 to {MAX_THREADS}, or several such as 1,2,4. Received: {text}")
    return tuple(dict.fromkeys(int(part) for part in parts))


def parse_runtimes(text: str) -> tuple[str, ...]:
    """Read names of runtimes with commas between them; raises ValueError that lists the valid ones."""
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if unknown := [name for name in names if name not in RUNTIMES]:
        raise ValueError(f"must be of: {', '.join(RUNTIMES)}. Received: {', '.join(unknown) or text!r}")
    return names


_how = section("How the models are run")
RUNNING = (
    _how("--threads", type=ParsedType("N[,N]", parse_thread_counts), default="1", show_default=True,
         help="Of the interpreter; each number is measured."),
    _how("--runtime", "runtimes", type=ParsedType("NAME[,NAME]", parse_runtimes),
         help=f"Instead of the first that is installed: {', '.join(RUNTIMES)}. Each one named is measured."),
    _how("--delegate", metavar="LIBRARY", help="An accelerator's library, such as libedgetpu.so.1."),
    _how("--delegate-option", "delegate_options", multiple=True, metavar="KEY=VALUE",
         help="What the delegate wants to know; may be repeated."),
    _how("--delegate-fallback", is_flag=True, help="Where the delegate fails, use the processor and say so."),
    _how("--runs", type=click.IntRange(1, 1_000_000), metavar="N",
         show_default="until the median is known to 1 %", help="Timed inferences of each model."),
    _how("--processes", type=click.IntRange(1, 100), default=PROCESSES, show_default=True, metavar="N",
         help="Fresh processes of each model, among which the inferences are shared out."),
    _how("--base", type=_PATH, metavar="FILE", show_default="float32, or the first",
         help="The model that the others' times are multiples of."),
)  # fmt: skip
_data = section("On labelled images")
DATA = (
    _data("--data", type=_PATH, metavar="DATA",
          help="Measures accuracy: class folders, or a run of edge-train, whose test images are taken."),
    _data("--images", type=_PATH, metavar="FOLDER", help="Where the run's photos lie now, if they moved."),
    _data("--split", type=_PATH, metavar="RUN",
          help="The run that made the models: tells which of the images they were trained on."),
    _data("--labels", type=_PATH, metavar="FILE",
          help="For a model that carries none: one label a line, the line number is the class."),
    _data("--normalization", type=NormalizationType(),
          help="For a float model that does not say: 0..255, 0..1, -1..1, or MEAN,STD: 2 numbers, or 3 "
               "and 3."),
)  # fmt: skip
_more = section("What is measured besides")
MORE = (
    _more("--stages", is_flag=True,
          help="With --data: decoding, resizing, inference and the rest, pictures a second, and the start "
               "of a process."),
    _more("--camera", metavar="SOURCE",
          help="The stages of a camera's frames: whatever edge-classify --camera takes."),
    _more("--by-operation", is_flag=True, help="Where the time goes, and what the machine could do."),
    _more("--soak", type=click.FloatRange(0, min_open=True), metavar="MINUTES",
          help="Run each model so long without a pause: does it get slower as it gets hot?"),
)  # fmt: skip
_where = section("On other machines")
WHERE = (
    _where("--on", "targets", multiple=True, type=ParsedType("TARGET", Target.parse),
           help="user@host, by ssh, or adb[:SERIAL]; may be repeated. Sets up there, measures, cleans up."),
    _where("--sample", type=click.IntRange(1), default=200, show_default=True, metavar="N",
           help="How many images of --data are copied there."),
    _where("--wheel", "wheels", type=_PATH, multiple=True, metavar="FILE",
           help="Packages for a device without internet: a .whl file, or a folder of them; may be repeated."),
    _where("--keep", is_flag=True, help="Leave the Python environment there, for the next time."),
    _where("--benchmark-model", type=_FILE, metavar="FILE",
           help="TensorFlow Lite's benchmark_model for Android, for adb."),
)  # fmt: skip
_results = section("Results")
RESULTS = (
    _results("--json", "as_json", is_flag=True, help="Print a JSON object for each result."),
    _results("--markdown", is_flag=True, help="Print a table for a README."),
    _results("--output", "-o", type=_FILE, metavar="FILE", help="Write the results there too: JSON lines."),
    _results("--report", type=_FILE, metavar="FILE", help="Write a report there, one HTML file."),
    _results("--force", is_flag=True,
             help="Replace the --output and --report files; compare with a --baseline of another machine."),
    _results("--compare", is_flag=True, help="Take two files of results and say what changed."),
    _results("--baseline", type=_PATH, metavar="FILE",
             help="Compare with these earlier results; the exit status is 1 where something got worse."),
    _results("--max-regression", type=ParsedType("PERCENT", parse_share), default="5%", show_default=True,
             help="How much slower or larger is too much."),
    _results("--budget", type=ParsedType("LIMITS", Budget.parse),
             help="Limits for what to ship, of size, ram, median, p99 and drop: "
                  "p99=20ms,size=4MB,drop=1,ram=100MB."),
)  # fmt: skip
