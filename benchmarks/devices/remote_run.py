"""One benchmark on one device over ssh: send, install, run, fetch the results, and clean up."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import threading
from collections.abc import Callable, Sequence
from functools import partial
from secrets import token_hex
from typing import Any

from ...edge.console import say
from ...edge.errors import BenchmarkError
from ...edge.json_files import JsonError, parse_json
from ...edge.runtime_packages import PythonBuild, why_no_runtime
from ..results.origin import describe_origin
from .answers import (
    arrived_of,
    installation_of,
    last_line,
    left_of,
    output_of,
    present_of,
    shortened,
    status_of,
)
from .link import Connection, Link, Stopped
from .remote_job import (
    DATA,
    LABELS,
    WHEELS,
    DeviceOutcome,
    LocalNames,
    RemoteJob,
    SentFile,
    model_files,
    other_files,
    wheel_files,
)
from .ssh import LinkError
from .target import SshTarget
from .wheel import Wheel, locked_packages

_NO_NETWORK = ("NewConnectionError", "Temporary failure in name resolution", "ConnectTimeoutError")
# Versions of glibc (2.x) for which wheels of our requirements are built; pip download needs each one named.
_GLIBC_MINORS = (17, 24, 26, 27, 28, 31, 34, 35, 39)
OnRecords = Callable[[list[dict[str, Any]]], None]
# The environment took 216 MB (Python 3.11, x86-64); pip's downloads, up to 80 MB, may lie on the same disk.
ENVIRONMENT_BYTES = 300_000_000
_CLEAN_UP_SECONDS = 10.0  # To reach a device again; one that is away is given up soon.
# Bytes of results and of remarks: more would be a mistake, and would fill memory and screen.
_MOST_BYTES = {"out": 64 << 20, "err": 1 << 20}
_WHAT = {"out": "results", "err": "remarks"}
_GATED = (0, 1)  # Statuses of a run that measured: 1 where single models failed, or missed a limit.
_TRIES = 3


class RemoteRun:
    """Sends, installs, runs and fetches; every step may be repeated after a lost connection."""

    def __init__(self, target: SshTarget, job: RemoteJob, wheel: Wheel, on_records: OnRecords) -> None:
        self._target = target
        self._job = job
        self._wheel = wheel
        self._on_records = on_records
        self._job_name = f"benchmark-{token_hex(8)}"
        self._models, self._others = model_files(job), other_files(job)
        self._wheels = wheel_files(job)
        commit = describe_origin().commit
        self._local_names = LocalNames(self._models, self._others, job.data, commit)
        self._records: list[dict[str, Any]] = []
        self._bytes = {"out": b"", "err": b""}
        self._offsets = {"out": 0, "err": 0}
        self._last_remark = ""

    def run(self, stop: threading.Event, abandon: threading.Event) -> DeviceOutcome:
        """Measure. `stop` ends the process there and cleans up; `abandon` ends the clean-up too."""
        status, error, interrupted = None, None, False
        try:
            connection = Connection(self._target, self._job_name, self._job.patience, stop)
        except Stopped:
            return DeviceOutcome(
                self._target, (), error=f"{self._target.name}: interrupted", interrupted=True
            )
        try:
            status = self._measure(connection)
            error = self._describe_failure(status)
        except Stopped:
            interrupted, error = True, f"{self._target.name}: interrupted"
        except BenchmarkError as failure:
            error = str(failure)
        finally:
            connection.close()
        left = self._clean_up(abandon)
        return DeviceOutcome(self._target, tuple(self._records), status, error, interrupted, left)

    def _measure(self, connection: Connection) -> int | None:
        name, job, facts = self._target.name, self._job, connection.facts
        check_python(name, facts)
        keep = environment_name(self._wheel, self._wheels) if job.keep else None
        own = SentFile(f"{WHEELS}-own/{self._wheel.name}", self._wheel.data)
        lock = SentFile(f"{WHEELS}-own/locked.txt", locked_packages(old_arm=is_old_arm(facts)))
        files = [own, lock, *self._wheels, *self._models, *self._others]
        environment = 0 if keep in facts["environments"] else ENVIRONMENT_BYTES
        check_space(name, facts, sum(file.size for file in files) + environment)
        self._send(connection, files)
        self._install(connection, own.remote_path, lock.remote_path, keep)
        say(f"{name}: measuring {len(job.files)} models")
        arguments = ["--json", *job.arguments]
        arguments += ["--data", DATA] if job.images else []
        arguments += ["--labels", LABELS] if job.labels else []
        arguments += ["--", *(file.remote_path for file in self._models)]
        connection.insist(lambda link: link.ask("start", keep=keep, arguments=arguments))
        return connection.insist(self._follow)

    def _send(self, connection: Connection, files: Sequence[SentFile]) -> None:
        described = [(file.remote_path, file.size, file.sha256()) for file in files]
        say(f"{self._target.name}: sending {sum(size for _, size, _ in described) / 1e6:.1f} MB")

        def send_all(link: Link) -> None:
            for _ in range(_TRIES):
                present = present_of(link.ask("offer", files=described), [file.size for file in files])
                missing = [
                    (file, *row[1:], here)
                    for file, row, here in zip(files, described, present, strict=True)
                    if here < row[1] or (row[1] == 0 and here == 0)
                ]
                arrived = [self._send_one(link, *row) for row in missing]
                if all(arrived):
                    return
            raise BenchmarkError(f"{self._target.name}: files arrive there damaged, {_TRIES} times in a row")

        connection.insist(send_all)

    def _send_one(self, link: Link, file: SentFile, size: int, sha256: str, offset: int) -> bool:
        blocks = partial(file.blocks, offset)
        reply = link.ask("take", blocks, name=file.remote_path, offset=offset, size=size, sha256=sha256)
        arrived = arrived_of(reply)
        if isinstance(arrived, str):
            raise BenchmarkError(
                f"{self._target.name}: {file.remote_path} cannot be written there ({arrived})"
            )
        return arrived

    def _install(self, connection: Connection, own: str, lock: str, keep: str | None) -> None:
        name, facts, offline = self._target.name, connection.facts, bool(self._wheels)
        if keep in facts["environments"]:
            say(f"{name}: using the environment that was kept there")
        else:
            say(f"{name}: installing the runner there, which takes a minute, or several on a small board")
        request: dict[str, Any] = {
            "keep": keep,
            "wheel": own,
            "lock": lock,
            "wheels": WHEELS if offline else None,
            "requires": self._wheel.requires,
            "from_debian": is_old_arm(facts),
        }
        reply = connection.insist(lambda link: installation_of(link.ask("prepare", **request)))
        if "failed" in reply:
            raise explain_failure(name, facts, reply, offline)

    def _follow(self, link: Link) -> int | None:
        """Take the output of the run until it ends; returns its exit status."""
        for part in link.stream("follow", out=self._offsets["out"], err=self._offsets["err"]):
            if part.get("done"):
                return status_of(part)
            self._take(*output_of(part))
        raise LinkError("the answer was not complete")

    def _take(self, stream: str, data: bytes) -> None:
        self._offsets[stream] += len(data)
        if self._offsets[stream] > _MOST_BYTES[stream]:
            raise BenchmarkError(f"{self._target.name}: it sends more {_WHAT[stream]} than can be right")
        *lines, self._bytes[stream] = (self._bytes[stream] + data).split(b"\n")
        texts = [line.decode(errors="replace") for line in lines if line.strip()]
        if stream == "err":
            for text in texts:
                self._last_remark = shortened(self._local_names.text(text))
                say(f"{self._target.name}: {self._last_remark}")
        elif texts:
            self._add([self._read(text) for text in texts])

    def _read(self, text: str) -> dict[str, Any]:
        try:
            record = parse_json(text)
        except JsonError:
            record = None
        if not isinstance(record, dict):
            raise BenchmarkError(
                f"{self._target.name}: this is not a result of edge-benchmark: {text[:200]!r}"
            )
        return self._local_names.record(record, self._target.name)

    def _add(self, records: list[dict[str, Any]]) -> None:
        self._records += records
        self._on_records(records)

    def _describe_failure(self, status: int | None) -> str | None:
        """Return the error that the end of the run was, else None.

        The status is 1 where single models failed, as their records say.
        """
        name = self._target.name
        if status in _GATED and self._records:
            return self._name_missing()
        if status == 0:
            return f"{name}: edge-benchmark ended there with status 0, and gave no result"
        if status is None:
            return (
                f"{name}: edge-benchmark ended there without an exit status: the machine "
                "was restarted, or the program killed"
            )
        if status > 128:
            reason = " (probably for lack of memory)" if status == 137 else ""
            return f"{name}: edge-benchmark was killed there by signal {status - 128}{reason}"
        reason = self._last_remark or "without a message"
        return f"{name}: edge-benchmark ended there with status {status}: {reason}"

    def _name_missing(self) -> str | None:
        """Return an error that names the models without a result, else None."""
        measured = {record.get("file") for record in self._records if isinstance(record.get("file"), str)}
        missing = [str(path) for path in self._job.files if str(path) not in measured]
        return f"{self._target.name}: it gave no result for {', '.join(missing)}" if missing else None

    def _clean_up(self, abandon: threading.Event) -> str | None:
        """End the run, fetch the rest of its output, and remove all files; returns what is left there."""
        try:
            connection = Connection(self._target, self._job_name, _CLEAN_UP_SECONDS, abandon)
            place = f"{connection.facts['folder']}/{self._job_name}"
            try:
                connection.insist(lambda link: link.ask("stop"))
                connection.insist(self._fetch_rest)
                reason = connection.insist(lambda link: left_of(link.ask("remove")))
            finally:
                connection.close()
        except (BenchmarkError, Stopped) as error:
            place, reason = f"~/.cache/edge-classify/{self._job_name}", str(error) or "interrupted"
        if reason is None:
            return None
        # Quoted twice: the shell here passes one word on, which the shell there reads.
        there = shlex.quote(place) if place[0] == "/" else place
        command = shlex.join(["ssh", self._target.name, f"rm -r {there}"])
        return (
            f"{self._target.name}: {place} could not be removed there ({reason}). Remove it with: {command}"
        )

    def _fetch_rest(self, link: Link) -> None:
        try:
            self._follow(link)
        except LinkError:
            raise
        except BenchmarkError:  # A line is no result, which was reported before.
            pass


def environment_name(wheel: Wheel, wheels: Sequence[SentFile]) -> str:
    """Return the name of the folder that --keep keeps, which depends on its contents."""
    parts = [wheel.sha256, *wheel.requires, *sorted(file.remote_path for file in wheels)]
    return f"environment-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]}"


def check_python(name: str, facts: dict[str, Any]) -> None:
    """Raise BenchmarkError where the device's Python cannot make a virtual environment for the runner."""
    if facts["missing"]:
        raise BenchmarkError(
            f"{name}: Python {facts['python']} there lacks {' and '.join(facts['missing'])}, so that no "
            "virtual environment can be made. On Debian and Raspberry Pi OS: sudo apt install python3-venv"
        )
    major, minor = map(int, facts["python"].split(".")[:2])
    python = PythonBuild(facts["bits"], facts["machine"], (major, minor))
    if (reason := why_no_runtime(python)) is not None:
        raise BenchmarkError(f"{name}: a TFLite runtime is needed there, and {reason}")
    if is_old_arm(facts) and facts["missing_from_debian"]:
        raise BenchmarkError(
            f"{name}: a 32-bit system takes numpy, Pillow and psutil from Debian, and Python there lacks "
            f"{', '.join(facts['missing_from_debian'])}. Run there: "
            "sudo apt install python3-numpy python3-pil python3-psutil"
        )


def check_space(name: str, facts: dict[str, Any], needed: int) -> None:
    """Raise BenchmarkError where fewer than `needed` bytes are free."""
    if facts["free"] < needed:
        raise BenchmarkError(
            f"{name}: {needed / 1e6:.0f} MB are needed in {facts['folder']}, and {facts['free'] / 1e6:.0f} "
            "MB are free. Make room there, or set XDG_CACHE_HOME there to a folder on a larger disk"
        )


def is_old_arm(facts: dict[str, Any]) -> bool:
    """Return whether the system is 32-bit ARM; its kernel may have 64 bits."""
    machine: str = facts["machine"]
    return facts["bits"] == 32 and machine.startswith(("arm", "aarch64"))


def explain_failure(name: str, facts: dict[str, Any], reply: dict[str, Any], offline: bool) -> BenchmarkError:
    """Return the error for a failed installation, by the end of the output of venv or pip."""
    text: str = reply["text"]
    errors = [line.removeprefix("ERROR: ") for line in text.splitlines() if line.startswith("ERROR: ")]
    shown = shortened(errors[-1]) if errors else last_line(text) or "without a message"
    if reply["failed"] == "venv":
        return BenchmarkError(f"{name}: no virtual environment can be made there ({shown})")
    if "No space left on device" in text:
        return BenchmarkError(f"{name}: the disk there is full: {facts['folder']} needs more room")
    fetch = _download_command(facts, reply["requires"])
    kind = f"Python {facts['python']}, {facts['machine']}, {facts['bits']} bits"
    if offline:
        missing = re.findall(r"No matching distribution found for (\S+)", text)
        what = (
            f"no --wheel for it holds {shortened(', '.join(missing))}" if missing else f"pip failed ({shown})"
        )
        return BenchmarkError(f"{name} ({kind}): {what}. This fetches all that it needs: {fetch}")
    if "DO NOT MATCH THE HASHES" in text:
        changed = re.findall(r"^    (\S+) from ", text, re.MULTILINE)
        named = shortened(", ".join(changed)) or "a package"
        return BenchmarkError(
            f"{name}: the package index there gives {named} with a checksum "
            "other than PyPI's, so nothing was installed. Set up PyPI in pip.conf there, or give the files "
            f"as --wheel: {fetch}"
        )
    if any(sign in text for sign in _NO_NETWORK):
        return BenchmarkError(
            f"{name}: pip cannot reach a package index there. Fetch the wheels here, and give them "
            f"as --wheel: {fetch}"
        )
    return BenchmarkError(f"{name} ({kind}): pip cannot install the runner there ({shown})")


def _download_command(facts: dict[str, Any], requires: list[str]) -> str:
    """Return the command that fetches wheels for the device on this machine."""
    machine = "armv7l" if is_old_arm(facts) else facts["machine"]
    library, version = facts["libc"]
    minor = int(match[1]) if library == "glibc" and (match := re.match(r"2\.(\d+)", version)) else 0
    platforms = [f"manylinux_2_{m}_{machine}" for m in _GLIBC_MINORS if m <= minor]
    platforms = [f"manylinux2014_{machine}", *platforms, f"linux_{machine}"]
    python = ".".join(facts["python"].split(".")[:2])
    named = " ".join(f"--platform {platform}" for platform in platforms)
    start = f"pip download --only-binary=:all: --python-version {python} {named} --dest wheels"
    # numpy, which tflite-runtime requires, has no wheels for 32-bit ARM and comes from Debian.
    alone = [requirement for requirement in requires if requirement.startswith("tflite-runtime")]
    others = [requirement for requirement in requires if requirement not in alone]
    command = f"{start} {_quoted(others)}"
    return f"{command} && {start} --no-deps {_quoted(alone)}" if alone else command


def _quoted(requires: list[str]) -> str:
    return shlex.join(requires)
