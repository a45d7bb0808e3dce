"""The options of edge-benchmark, by what they are about, and the requests that are read from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from ..edge.cli_types import FINGERPRINT, HTTPS_CAMERA, FiniteRange, ParsedType, section
from ..edge.command_line import to_arguments
from ..edge.data_options import DATA_OPTION_NAMES, image_label_options, read_label_source
from ..edge.delegates import parse_delegate_options
from ..edge.model_options import delegate_options, foreign_model_options, read_facts
from ..edge.option_rules import Given, When
from ..edge.runtime import MAX_THREADS, RUNTIMES, Execution
from .budget import Budget
from .devices.target import AdbTarget, SshTarget, Target
from .measuring.plan import PROCESSES
from .request import RemoteOptions, Request, ResultOptions

_PATH = click.Path(path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_MOST_PER_CENT = 1000


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


def _join(values: tuple[object, ...]) -> str:
    return ",".join(map(str, values))


def parse_share(text: str) -> float:
    """Read a percentage such as "5%" as a fraction; raises ValueError.

    The sign must be there: 0.05 may mean 5 % or 0.05 %.
    """
    match = re.fullmatch(r"\s*(\d{1,4}(?:\.\d{1,6})?)\s*%\s*", text, re.ASCII)
    if match is None or float(match[1]) > _MOST_PER_CENT:
        raise ValueError(
            f"must be a percentage with its sign, such as 5%, of at most {_MOST_PER_CENT}%. "
            f"Received: {text!r}"
        )
    return float(match[1]) / 100


def share_to_text(share: float) -> str:
    """Return what parse_share reads."""
    return f"{share * 100:.6f}%"


def _is_among(kind: type[Target]) -> Callable[[Mapping[str, Any]], bool]:
    return lambda given: any(isinstance(target, kind) for target in given["targets"])


def _only_android(given: Mapping[str, Any]) -> bool:
    targets = given["targets"]
    return bool(targets) and all(isinstance(target, AdbTarget) for target in targets)


def _measures_several(given: Mapping[str, Any]) -> bool:
    return max(map(len, (given["files"], given["threads"], given["runtimes"] or ()))) > 1


_DATA, _PICTURES = Given("data"), Given("data", "camera")
_SSH = When("--on user@host", _is_among(SshTarget))
_ADB = When("--on adb", _is_among(AdbTarget))
_MEANS = "which only gives mean times of models on the processor"
_NOT_BY_ADB = When(f"--on adb, {_MEANS}", _is_among(AdbTarget))
_NOT_BY_ADB_ALONE = When(f"--on adb alone, {_MEANS}", _only_android)
_SEVERAL = When("several files, --threads or --runtime", _measures_several)

_how = section("How the models are run")
RUNNING = (
    _how("--threads", first=True, type=ParsedType("N[,N]", parse_thread_counts, _join), default="1",
         show_default=True, help="Threads of the interpreter; each number is measured."),
    _how("--runtime", "runtimes", type=ParsedType("NAME[,NAME]", parse_runtimes, _join),
         excludes=_NOT_BY_ADB,
         help=f"Instead of the first one installed: {', '.join(RUNTIMES)}. Each is measured."),
    *delegate_options(_how, excludes=_NOT_BY_ADB),
    _how("--runs", type=click.IntRange(1, 1_000_000), metavar="N",
         show_default="until the median is known to 1 %", help="Timed inferences of each model."),
    _how("--processes", type=click.IntRange(1, 100), default=PROCESSES, show_default=True, metavar="N",
         excludes=_NOT_BY_ADB,
         help="Fresh processes of each model, among which the inferences are shared out."),
    _how("--base", type=_PATH, metavar="FILE", show_default="float32, or the first",
         excludes=_NOT_BY_ADB_ALONE, useless_without=_SEVERAL,
         help="The model that other times are multiples of."),
)  # fmt: skip
_data = section("On labelled images")
DATA = (
    _data("--data", first=True, type=_PATH, metavar="DATA", excludes=_NOT_BY_ADB,
          help="Measures accuracy: a folder of labelled images, or a run of edge-train, whose test images "
               "are taken."),
    *image_label_options(_data, (_DATA,)),
    _data("--images", type=_PATH, metavar="FOLDER", requires=_DATA,
          help="Where the run's photos are now, if they moved."),
    _data("--split", type=_PATH, metavar="RUN", requires=_DATA,
          help="The run that made the models; it lists the images that they were trained on."),
    *foreign_model_options(_data, requires=_PICTURES),
)  # fmt: skip
_more = section("What is measured besides")
MORE = (
    _more("--stages", first=True, is_flag=True, requires=_DATA,
          help="With --data: decoding, resizing, inference and the rest, pictures a second, and the start "
               "of a process."),
    _more("--camera", metavar="SOURCE", excludes=_NOT_BY_ADB,
          help="The stages of a camera's frames: SOURCE as in edge-classify --camera."),
    _more("--tls-fingerprint", type=FINGERPRINT, requires=HTTPS_CAMERA,
          help="Trust the https camera whose certificate has this SHA-256 fingerprint, and no other."),
    _more("--by-operation", is_flag=True, excludes=_NOT_BY_ADB,
          help="Where the time goes, and how fast the machine could be."),
    _more("--soak", type=FiniteRange(0, min_open=True), metavar="MINUTES", excludes=_NOT_BY_ADB,
          help="Run each model without a pause for so long: does it get slower as it gets hot?"),
)  # fmt: skip
_where = section("On other machines")
WHERE = (
    _where("--on", "targets", first=True, multiple=True,
           type=ParsedType("TARGET", Target.parse, lambda target: target.name),
           help="user@host, by ssh, or adb[:SERIAL] (not tried on a real phone); may be repeated. Sets up "
                "there, measures, cleans up."),
    _where("--sample", type=click.IntRange(1), default=200, show_default=True, metavar="N",
           requires=(Given("targets"), _DATA),
           help="How many images of --data are copied there."),
    _where("--wheel", "wheels", type=_PATH, multiple=True, metavar="FILE", requires=_SSH,
           help="Packages for a device without internet: a .whl file, or a folder of them; may be repeated."),
    _where("--keep", is_flag=True, requires=_SSH,
           help="Leave the Python environment there, for the next time."),
    _where("--benchmark-model", type=_FILE, metavar="FILE", requires=_ADB,
           help="TensorFlow Lite's benchmark_model for Android, for adb."),
)  # fmt: skip
_results = section("Results")
RESULTS = (
    _results("--json", "as_json", first=True, is_flag=True, help="Print a JSON object for each result."),
    _results("--markdown", is_flag=True, excludes=(Given("as_json"), _NOT_BY_ADB_ALONE),
             help="Print a table for a README."),
    _results("--details", first=True, is_flag=True, excludes=Given("as_json", "markdown"),
             help="Print all tables: memory, tails, every note, and why not the other files."),
    _results("--output", "-o", first=True, type=_FILE, metavar="FILE",
             help="Write the results to FILE too: JSON lines."),
    _results("--report", first=True, type=_FILE, metavar="FILE", excludes=_NOT_BY_ADB_ALONE,
             help="Write a report to FILE, as HTML."),
    _results("--force", first=True, is_flag=True, requires=Given("output", "report", "baseline"),
             help="Replace the --output and --report files; compare with a --baseline of another machine."),
    _results("--compare", is_flag=True,
             takes=("files", "max_regression", "output", "report", "as_json", "details", "force"),
             help="Take two files of results and report what changed."),
    _results("--baseline", first=True, type=_PATH, metavar="FILE", excludes=_NOT_BY_ADB_ALONE,
             help="Compare with these earlier results; the exit status is 1 where something got worse."),
    _results("--max-regression", type=ParsedType("PERCENT", parse_share, share_to_text), default="5%",
             show_default=True, requires=Given("baseline", "compare"),
             help="How much slower or larger is too much."),
    _results("--budget", first=True, type=ParsedType("LIMITS", Budget.parse), excludes=_NOT_BY_ADB_ALONE,
             help="Limits for the file to ship, of size, ram, median, p99 and drop: "
                  "p99=20ms,size=4MB,drop=1,ram=100MB."),
)  # fmt: skip
OPTIONS = (*RUNNING, *DATA, *MORE, *WHERE, *RESULTS)
# Files are sent to another machine under other names, and its first file is the base.
_NOT_FORWARDED = {"base", "data", "images", "split", "labels", *DATA_OPTION_NAMES}
# What the edge-benchmark of another machine gets as it is; results are shown, kept and judged here.
FORWARDED = tuple(option for option in (*RUNNING, *DATA, *MORE) if option.name not in _NOT_FORWARDED)


def read_request(files: tuple[Path, ...], options: Mapping[str, Any]) -> Request:
    """Return what is to be measured; raises OptionError and DatasetError."""
    from .scoring.labelled import labelled_images

    data: Path | None = options["data"]
    pairs = parse_delegate_options(options["delegate_options"])
    executions = tuple(
        Execution(runtime, threads, options["delegate"], pairs, options["delegate_fallback"])
        for runtime in options["runtimes"] or (None,)
        for threads in options["threads"]
    )
    return Request(
        files,
        executions,
        runs=options["runs"],
        processes=options["processes"],
        base=options["base"],
        soak_minutes=options["soak"],
        data=None
        if data is None
        else labelled_images(data, options["images"], source=read_label_source(options)),
        split=options["split"],
        labels=options["labels"],
        facts=read_facts(options),
        stages=options["stages"],
        camera=options["camera"],
        tls_fingerprint=options["tls_fingerprint"],
        by_operation=options["by_operation"],
    )


def read_remote_options(options: Mapping[str, Any]) -> RemoteOptions:
    """Return on which other machines is to be measured."""
    return RemoteOptions(
        options["targets"],
        options["sample"],
        options["wheels"],
        options["keep"],
        options["benchmark_model"],
        tuple(to_arguments(FORWARDED, options)),
    )


def read_result_options(options: Mapping[str, Any]) -> ResultOptions:
    """Return how results are to be shown, kept and judged."""
    return ResultOptions(
        as_json=options["as_json"],
        markdown=options["markdown"],
        details=options["details"],
        output=options["output"],
        report=options["report"],
        force=options["force"],
        baseline=options["baseline"],
        max_regression=options["max_regression"],
        budget=options["budget"],
    )
