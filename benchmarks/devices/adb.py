"""Models on an Android device, measured by TensorFlow Lite's benchmark_model."""

from __future__ import annotations

import hashlib
import shutil
import threading
from dataclasses import asdict
from pathlib import Path
from secrets import token_hex
from typing import Any

from ...edge.console import say
from ...edge.errors import BenchmarkError, EdgeClassifyError
from ...edge.modelfile import ModelFile
from ..results.origin import describe_origin
from ..results.result import Failure, ToolResult
from .android import Adb, describe
from .benchmark_model import parse
from .errand import DeviceOutcome, Errand
from .link import Stopped
from .target import AdbTarget
from .visit import OnLines

_TOOL = "benchmark_model"
_FOLDER = "/data/local/tmp/edge-classify-"  # The one place where adb may write and run programs.
# Of one model: the tool itself ends after 150 seconds (--max_secs).
_RUN_SECONDS = 600.0
_WHERE = (
    "Download android_aarch64_benchmark_model (https://ai.google.dev/edge/litert/models/measurement, Native "
    "benchmark binary), and name it with --benchmark-model"
)
_REMARK = (
    "measured by benchmark_model: one process, and a mean of its runs, which slow ones pull up. It cannot be "
    "compared with a median"
)


def visit_android(
    target: AdbTarget, errand: Errand, on_lines: OnLines, stop: threading.Event, abandon: threading.Event
) -> DeviceOutcome:
    """Measure every model with every number of threads, and remove what was sent."""
    records: list[dict[str, Any]] = []
    error, interrupted, left, adb = None, False, None, None
    folder = _FOLDER + token_hex(8)
    try:
        adb = Adb(target, stop)
        _measure(adb, target, errand, folder, lambda record: _add(records, record, on_lines))
    except Stopped:
        interrupted, error = True, f"{target.name}: interrupted"
    except BenchmarkError as failure:
        error = str(failure)
    if adb is not None:
        left = _clean_up(AdbTarget(target.name, adb.serial), folder, abandon)
    failed = any("error" in record for record in records)
    status = None if error else int(failed)
    return DeviceOutcome(target, tuple(records), status, error, interrupted, left)


def find_tool(named: Path | None) -> Path:
    """Return the program to send to the device; raises BenchmarkError that says where to get it."""
    if named is not None:
        if not named.is_file():
            raise BenchmarkError(f"--benchmark-model {named} is no file. {_WHERE}")
        return named
    for name in (_TOOL, f"android_aarch64_{_TOOL}"):
        if found := shutil.which(name):
            return Path(found)
    raise BenchmarkError(f"An Android device needs TensorFlow Lite's {_TOOL}, which is not on PATH. {_WHERE}")


def _measure(adb: Adb, target: AdbTarget, errand: Errand, folder: str, add: Any) -> None:
    tool = find_tool(errand.benchmark_model)
    host, origin = describe(adb), describe_origin()
    adb.shell(f"mkdir -p {folder}")
    adb.push(tool, f"{folder}/{_TOOL}")
    adb.shell(f"chmod 755 {folder}/{_TOOL}")
    for number, path in enumerate(errand.files):
        far = f"{folder}/model_{number}.tflite"
        for threads in errand.threads:
            say(f"{target.name}: measuring {path.name}, threads: {threads}")
            try:
                card = ModelFile.read(path).card
                if threads == errand.threads[0]:
                    adb.push(path, far)
                figures = parse(adb.shell(_command(folder, far, threads, errand.runs), _RUN_SECONDS))
            except EdgeClassifyError as error:
                text = f"{path}: {_TOOL} gives no figures on {target.name} ({_plainly(str(error))})"
                failure = Failure(str(path), threads, text, host, origin, _TOOL, device=target.name)
                add(failure.to_record())
                continue
            told = asdict(figures)
            result = ToolResult(
                file=str(path),
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                size_bytes=path.stat().st_size,
                variant=card.conversion.variant if card and card.conversion else None,
                threads=threads,
                tool=_TOOL,
                device=target.name,
                host=host,
                origin=origin,
                load_ms=told.pop("init_ms"),
                remarks=(_REMARK,) if figures.median_ms is None else (),
                **told,
            )
            add(result.to_record())


def _command(folder: str, far: str, threads: int, runs: int | None) -> str:
    some = f" --num_runs={runs}" if runs else ""
    return f"{folder}/{_TOOL} --graph={far} --num_threads={threads}{some}"


def _plainly(said: str) -> str:
    if "Exec format error" in said or "not executable" in said or "has unexpected e_" in said:
        return f"the program is for another processor: {said}"
    return said


def _add(records: list[dict[str, Any]], record: dict[str, Any], on_lines: OnLines) -> None:
    records.append(record)
    on_lines([record])


def _clean_up(target: AdbTarget, folder: str, abandon: threading.Event) -> str | None:
    """Remove the folder there; returns what is left, and how to remove it."""
    try:
        adb = Adb(target, abandon)
        adb.shell(f"rm -rf {folder}")
        if "No such file" in adb.shell(f"ls -d {folder}"):
            return None
        reason = "it is still there"
    except (BenchmarkError, Stopped) as error:
        reason = str(error) or "interrupted"
    command = f"adb -s {target.serial} shell rm -r {folder}"
    return f"{target.name}: {folder} could not be removed there ({reason}). Remove it with: {command}"
