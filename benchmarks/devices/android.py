"""Android devices: adb, and what TensorFlow Lite's benchmark_model measures on them."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from ...edge.console import say
from ...edge.errors import BenchmarkError, EdgeClassifyError
from ...edge.processes import find_program, run
from ...edge.tables import print_table
from ..host import Host
from ..measuring.plan import CheckedModel
from ..results.origin import describe_origin
from ..results.result import Failure, Origin, ToolResult
from .answers import last_line, shortened
from .link import Stopped
from .remote_job import DeviceOutcome, RemoteJob
from .remote_run import OnRecords
from .target import AdbTarget

_NUMBER = r"(\d{1,15}(?:\.\d{0,15})?(?:e[+-]?\d{1,2})?)"
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
_SHORT, _PUSH = 30.0, 600.0  # Seconds for a command, and to send a file.
_STATES = {
    "unauthorized": "it has not allowed USB debugging to this computer: confirm the question on its screen",
    "authorizing": "it is being authorized: confirm the question on its screen, and try again",
    "offline": "it is offline: unplug it and plug it in again",
    "recovery": "it is in recovery mode: start Android",
    "sideload": "it is in sideload mode: start Android",
}
_TOOL = "benchmark_model"
_WRONG_PROCESSOR = ("Exec format error", "not executable", "has unexpected e_")  # From shells and linkers.
_FOLDER = "/data/local/tmp/edge-classify-"  # The only place where adb may write and run programs.
_RUN_SECONDS = 600.0  # For one model: the tool itself ends after 150 seconds (--max_secs).
_WHERE = (
    "Download android_aarch64_benchmark_model (https://ai.google.dev/edge/litert/models/measurement, Native "
    "benchmark binary), and name it with --benchmark-model"
)
_REMARK = (
    "measured by benchmark_model: one process, and a mean of its runs, which slow ones pull up. It cannot be "
    "compared with a median"
)
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


def measure_android(
    target: AdbTarget, job: RemoteJob, on_records: OnRecords, stop: threading.Event, abandon: threading.Event
) -> DeviceOutcome:
    """Measure every model with every number of threads, and remove the files that were sent."""
    records: list[dict[str, Any]] = []
    error, interrupted, left, adb = None, False, None, None
    folder = _FOLDER + token_hex(8)
    try:
        adb = Adb(target, stop)
        _measure(adb, target, job, folder, lambda record: _add(records, record, on_records))
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
    """Return the program to send to the device; raises BenchmarkError, with where to get it."""
    if named is not None:
        if not named.is_file():
            raise BenchmarkError(f"--benchmark-model {named} is not a file. {_WHERE}")
        return named
    for name in (_TOOL, f"android_aarch64_{_TOOL}"):
        if found := find_program(name):
            return Path(found)
    raise BenchmarkError(f"An Android device needs TensorFlow Lite's {_TOOL}, which is not on PATH. {_WHERE}")


def _measure(adb: Adb, target: AdbTarget, job: RemoteJob, folder: str, add: Any) -> None:
    tool = find_tool(job.benchmark_model)
    host, origin = describe_device(adb), describe_origin()
    adb.shell(f"mkdir -p {folder}")
    adb.push(tool, f"{folder}/{_TOOL}")
    adb.shell(f"chmod 755 {folder}/{_TOOL}")
    for number, path in enumerate(job.files):
        sent = f"{folder}/model_{number}.tflite"

        def fail(error: EdgeClassifyError, threads: int, path: Path = path) -> None:
            text = f"{path}: {_TOOL} gives no figures on {target.name} ({_explain(str(error))})"
            add(Failure(str(path), threads, text, host, origin, _TOOL, device=target.name).to_record())

        try:
            model = CheckedModel.read(path)
            adb.push(path, sent)
        except EdgeClassifyError as error:
            for threads in job.threads:
                fail(error, threads)
            continue
        for threads in job.threads:
            say(f"{target.name}: measuring {path.name}, threads: {threads}")
            try:
                figures = parse_figures(adb.shell(_command(folder, sent, threads, job.runs), _RUN_SECONDS))
            except EdgeClassifyError as error:
                fail(error, threads)
            else:
                add(_to_result(model, threads, figures, target, host, origin).to_record())


def _to_result(
    model: CheckedModel, threads: int, figures: ToolFigures, target: AdbTarget, host: Host, origin: Origin
) -> ToolResult:
    values = asdict(figures)
    return ToolResult(
        file=str(model.path),
        sha256=model.sha256,
        size_bytes=model.size_bytes,
        variant=model.variant,
        threads=threads,
        tool=_TOOL,
        device=target.name,
        host=host,
        origin=origin,
        load_ms=values.pop("init_ms"),
        remarks=(_REMARK,) if figures.median_ms is None else (),
        **values,
    )


def _command(folder: str, model: str, threads: int, runs: int | None) -> str:
    count = f" --num_runs={runs}" if runs else ""
    return f"{folder}/{_TOOL} --graph={model} --num_threads={threads}{count}"


def _explain(message: str) -> str:
    if any(sign in message for sign in _WRONG_PROCESSOR):
        return f"the program is for another processor: {message}"
    return message


def _add(records: list[dict[str, Any]], record: dict[str, Any], on_records: OnRecords) -> None:
    records.append(record)
    on_records([record])


def _clean_up(target: AdbTarget, folder: str, abandon: threading.Event) -> str | None:
    """Remove the folder on the device; returns why it is left, and how to remove it, else None."""
    try:
        adb = Adb(target, abandon)
        adb.shell(f"rm -rf {folder}")
        if "No such file" in adb.shell(f"ls -d {folder}"):
            return None
        reason = "it is still there"
    except (BenchmarkError, Stopped) as error:
        reason = str(error) or "interrupted"
    command = shlex.join(["adb", "-s", str(target.serial), "shell", f"rm -r {folder}"])
    return f"{target.name}: {folder} could not be removed there ({reason}). Remove it with: {command}"


def print_tool_results(records: Sequence[dict[str, Any]]) -> None:
    """Print a table of `ToolResult.to_record`'s objects for each device, with their remarks.

    A figure that the tool does not report is a dash.
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


class Adb:
    """The program adb, for the device with the number `serial`."""

    def __init__(self, target: AdbTarget, stop: threading.Event) -> None:
        """Find the device. Raises BenchmarkError where there is none, more than one, or no permission."""
        program = find_program("adb")
        if program is None:
            raise BenchmarkError(
                f"--on {target.name} needs the program adb. On Debian: apt install adb; or take Android's "
                "SDK Platform-Tools, and put its folder on PATH"
            )
        self._program = program
        self._stop = stop
        self._name = target.name
        self.serial = choose_device(target, parse_devices(self._run(["devices"], _SHORT)))

    def shell(self, command: str, seconds: float = _SHORT) -> str:
        """Run a line in the device's shell, and return its stdout and stderr."""
        return self._run(["-s", self.serial, "shell", command], seconds)

    def push(self, source: Path, to: str) -> None:
        """Copy a file. Raises BenchmarkError where that fails."""
        output = self._run(["-s", self.serial, "push", str(source.resolve()), to], _PUSH)
        if re.search(r"^adb: error|failed to copy", output, re.MULTILINE):
            raise BenchmarkError(f"{self._name}: {source} cannot be copied to it ({last_line(output)})")

    def _run(self, arguments: list[str], seconds: float) -> str:
        # The first call starts adb's server, which goes on.
        done = run(
            [self._program, *arguments],
            seconds,
            merged=True,
            own_session=True,
            leaves_server=True,
            check=self._check,
        )
        if done.status is None:
            raise BenchmarkError(f"{self._name}: adb did not end within {seconds:.0f} seconds")
        text = done.output.decode(errors="replace").replace("\r\n", "\n")
        if done.status and re.search(r"^(adb|error): .*(device|connect|daemon)", text, re.MULTILINE):
            raise BenchmarkError(f"{self._name}: {last_line(text)}")
        return text

    def _check(self) -> None:
        if self._stop.is_set():
            raise Stopped


def parse_devices(text: str) -> dict[str, str]:
    """Return the state of each device that `adb devices` lists, by serial number."""
    rows = (line.split(None, 1) for line in text.splitlines() if "\t" in line)
    return {row[0]: row[1].strip() for row in rows if len(row) == 2}


def choose_device(target: AdbTarget, devices: dict[str, str]) -> str:
    """Return the serial number of the target; raises BenchmarkError with a list of the devices."""
    listed = shortened(", ".join(f"{serial} ({state})" for serial, state in devices.items())) or "none"
    if target.serial is not None and target.serial not in devices:
        raise BenchmarkError(f"{target.name}: adb does not list this device. It lists: {listed}")
    usable = [serial for serial, state in devices.items() if state == "device"]
    if target.serial is None and len(usable) > 1:
        raise BenchmarkError(
            f"{target.name}: there are several devices; name one as adb:SERIAL. adb lists: {listed}"
        )
    if target.serial is None and not usable and len(devices) != 1:
        raise BenchmarkError(
            f"{target.name}: no Android device can be used. adb lists: {listed}. "
            "Plug one in, with USB debugging switched on"
        )
    serial = target.serial or (usable or list(devices))[0]
    if devices[serial] != "device":
        why = _STATES.get(
            devices[serial].split()[0], f"its state is {shortened(devices[serial])}, see adb devices -l"
        )
        raise BenchmarkError(f"{target.name}: {serial} cannot be used: {why}")
    return serial


def describe_device(adb: Adb) -> Host:
    """Return a description of the device, from Android's properties."""
    names = ("ro.product.manufacturer", "ro.product.model", "ro.soc.model", "ro.build.version.release")
    maker, model, chip, release = (_property(adb, f"getprop {name}") for name in names)
    architecture, count = _property(adb, "uname -m"), _property(adb, "nproc")
    memory = re.search(r"MemTotal:\s*([0-9]{1,12}) kB", adb.shell("cat /proc/meminfo"))
    memory_mb = int(memory[1]) * 1024 // 1_000_000 if memory else None
    cores = int(count) if re.fullmatch("[0-9]{1,4}", count) else 1
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


def _property(adb: Adb, command: str) -> str:
    """Return the first line that a command prints on the device, shortened."""
    return shortened((adb.shell(command).strip().splitlines() or [""])[0])


@dataclass(frozen=True)
class ToolFigures:
    """Times in ms and memory in MB (10^6 bytes); None where this version of the tool does not report it.

    `mean_ms` is an average, not a median; only newer versions report `median_ms` and `p95_ms`.
    `memory_growth_mb` is the growth of the resident memory since the tool itself started.
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


def parse_figures(text: str) -> ToolFigures:
    """Read the output of the tool's last run. Raises BenchmarkError where it holds no figures."""
    summaries = list(_SUMMARY.finditer(text))
    if not summaries:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("ERROR", "error:")) or "Failed" in line]
        raise BenchmarkError(shortened((errors or lines or ["it printed nothing"])[-1]))
    summary = summaries[-1]
    init, first, warm_up, mean = (float(value) / 1000 for value in summary.groups())
    if min(init, first, warm_up, mean) <= 0:
        raise BenchmarkError(f"it reports times of 0: {shortened(summary[0])}")
    # The last series before the summary is of the timed runs, the one before it of the warm-up.
    series = list(_SERIES.finditer(text, 0, summary.start()))
    values = dict(_VALUE.findall(series[-1][0])) if series else {}
    ms = {name: float(value) / 1000 for name, value in values.items() if name != "count"}
    growth, peak = _GROWTH.search(text, summary.end()), _PEAK.search(text)
    return ToolFigures(
        init_ms=init,
        first_ms=first,
        warm_up_mean_ms=warm_up,
        mean_ms=mean,
        runs=int(float(values["count"])) if "count" in values else None,
        min_ms=ms.get("min"),
        max_ms=ms.get("max"),
        std_ms=ms.get("std"),
        median_ms=ms.get("median"),
        p95_ms=ms.get("p95"),
        memory_growth_mb=float(growth[2]) * _MEBI if growth else None,
        peak_memory_mb=float(peak[1]) * _MEBI if peak else None,
    )
