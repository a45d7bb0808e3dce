"""Android devices: adb, TensorFlow Lite's benchmark_model there, and what it measured."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from ...edge.console import print_table, say
from ...edge.errors import BenchmarkError, EdgeClassifyError
from ...edge.modelfile import ModelFile
from ..host import Host
from ..results.origin import describe_origin
from ..results.result import Failure, ToolResult
from .link import Stopped
from .remote_job import DeviceOutcome, Errand
from .remote_run import OnLines
from .target import AdbTarget

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


_SHORT, _PUSH = 30.0, 600.0  # Seconds for a command, and for sending a file.
_STATES = {
    "unauthorized": "it has not allowed USB debugging to this computer: confirm the question on its screen",
    "authorizing": "it is being authorized: confirm the question on its screen, and try again",
    "offline": "it is offline: unplug it and plug it in again",
    "recovery": "it is in recovery mode: start Android",
    "sideload": "it is in sideload mode: start Android",
}


class Adb:
    """The program adb, for one device. `serial` is the chosen device's."""

    def __init__(self, target: AdbTarget, stop: threading.Event) -> None:
        """Find the device. Raises BenchmarkError where there is none, several, or it does not let us."""
        program = shutil.which("adb")
        if program is None:
            raise BenchmarkError(
                f"--on {target.name} needs the program adb. On Debian: apt install adb; or take Android's "
                "SDK Platform-Tools, and put its folder on PATH"
            )
        self._program = program
        self._stop = stop
        self._name = target.name
        self.serial = choose(target, parse_devices(self._run(["devices"], _SHORT)))

    def shell(self, command: str, seconds: float = _SHORT) -> str:
        """Run a line for the device's shell, and return what it wrote to stdout and stderr."""
        return self._run(["-s", self.serial, "shell", command], seconds)

    def push(self, source: Path, to: str) -> None:
        """Copy a file. Raises BenchmarkError where that fails."""
        said = self._run(["-s", self.serial, "push", str(source.resolve()), to], _PUSH)
        if re.search(r"^adb: error|failed to copy", said, re.MULTILINE):
            raise BenchmarkError(
                f"{self._name}: {source} cannot be copied there ({said.strip().splitlines()[-1]})"
            )

    def _run(self, arguments: list[str], seconds: float) -> str:
        end = time.monotonic() + seconds
        # A file: adb's server is started by the first call, and would keep a pipe open.
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                [self._program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            try:
                while process.poll() is None:
                    if self._stop.is_set():
                        raise Stopped
                    if time.monotonic() > end:
                        raise BenchmarkError(f"{self._name}: adb did not end within {seconds:.0f} seconds")
                    time.sleep(0.05)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            said.seek(0)
            text = said.read().decode(errors="replace").replace("\r\n", "\n")
        if process.returncode and re.search(r"^(adb|error): .*(device|connect|daemon)", text, re.MULTILINE):
            raise BenchmarkError(f"{self._name}: {text.strip().splitlines()[-1]}")
        return text


def parse_devices(text: str) -> dict[str, str]:
    """Return the state of every device, by serial, that `adb devices` lists."""
    rows = (line.split(None, 1) for line in text.splitlines() if "\t" in line)
    return {row[0]: row[1].strip() for row in rows if len(row) == 2}


def choose(target: AdbTarget, devices: dict[str, str]) -> str:
    """Return the serial of the device that is meant; raises BenchmarkError that lists what is there."""
    listed = ", ".join(f"{serial} ({state})" for serial, state in devices.items()) or "none"
    if target.serial is not None and target.serial not in devices:
        raise BenchmarkError(f"{target.name}: adb lists no such device. It lists: {listed}")
    usable = [serial for serial, state in devices.items() if state == "device"]
    if target.serial is None and len(usable) > 1:
        raise BenchmarkError(f"{target.name}: several devices are there; name one as adb:SERIAL of: {listed}")
    if target.serial is None and not usable and len(devices) != 1:
        raise BenchmarkError(
            f"{target.name}: no Android device can be used. adb lists: {listed}. "
            "Plug one in, with USB debugging switched on"
        )
    serial = target.serial or (usable or list(devices))[0]
    if devices[serial] != "device":
        why = _STATES.get(devices[serial].split()[0], f"its state is {devices[serial]}, see adb devices -l")
        raise BenchmarkError(f"{target.name}: {serial} cannot be used: {why}")
    return serial


def describe(adb: Adb) -> Host:
    """Return what device it is, by the properties that Android sets."""
    names = ("ro.product.manufacturer", "ro.product.model", "ro.soc.model", "ro.build.version.release")
    maker, model, chip, release = (adb.shell(f"getprop {name}").strip() for name in names)
    architecture, count = adb.shell("uname -m").strip(), adb.shell("nproc").strip()
    memory = re.search(r"MemTotal:\s*(\d+) kB", adb.shell("cat /proc/meminfo"))
    memory_mb = int(memory[1]) * 1024 // 1_000_000 if memory else None
    cores = int(count) if count.isdigit() else 1
    board = f"{maker} {model}".strip() or None
    kind = [board, chip or None, architecture, cores, memory_mb and round(memory_mb / 1000)]
    return Host(
        board=board,
        processor=chip or None,
        architecture=architecture,
        cores=cores,
        memory_mb=memory_mb,
        system=f"Android {release}",
        python="none",
        fingerprint=hashlib.sha256(json.dumps(kind).encode()).hexdigest()[:12],
    )


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


_COLUMNS = (
    "file",
    "threads",
    "size",
    "load",
    "first",
    "mean",
    "std",
    "median",
    "p95",
    "runs",
    "memory grew by",
)


def print_tool_results(records: Sequence[dict[str, Any]]) -> None:
    """Print a table for each device of `ToolResult.to_record`'s objects, with what must be known about them.

    What the tool did not tell is a dash.
    """
    for device in dict.fromkeys(record["device"] for record in records):
        rows = [record for record in records if record["device"] == device]
        host = rows[0]["host"]
        machine = host["board"] or host["processor"] or host["architecture"]
        title = f"{device}: {machine}, {host['cores']} cores, {host['system']}, {rows[0]['tool']}"
        for remark in dict.fromkeys(remark for record in rows for remark in record["remarks"]):
            title += f"\n{remark}"
        print_table(title, _COLUMNS, [_row(record) for record in rows])


def _row(record: dict[str, Any]) -> list[str]:
    times = [record[key] for key in ("load_ms", "first_ms", "mean_ms", "std_ms", "median_ms", "p95_ms")]
    growth = record["memory_growth_mb"]
    return [
        Path(record["file"]).name,
        str(record["threads"]),
        f"{record['size_bytes'] / 1e6:.2f} MB",
        *("-" if time is None else f"{time:.2f} ms" for time in times),
        "-" if record["runs"] is None else str(record["runs"]),
        "-" if growth is None else f"{growth:.0f} MB",
    ]
