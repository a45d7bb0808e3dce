"""Devices that cannot be reached, or cannot do it: one clear sentence, at once, and nothing hangs."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edge_classify.benchmarks.devices import run
from edge_classify.benchmarks.devices.remote_job import DeviceOutcome, RemoteJob
from edge_classify.benchmarks.devices.remote_run import check_python, explain_failure
from edge_classify.benchmarks.devices.target import Target
from edge_classify.edge.errors import BenchmarkError, OptionError
from edge_classify.edge.labelled import LabelledImage

from .support.ssh_server import SshServer, keep_stand_in, one_wheel

Measure = Callable[..., DeviceOutcome]
Serve = Callable[..., SshServer]
FACTS: dict[str, Any] = {
    "python": "3.11.2", "machine": "aarch64", "bits": 64, "libc": ["glibc", "2.36"], "folder": "/home/pi",
    "missing": [], "missing_from_debian": [],
}  # fmt: skip


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    started: list[SshServer] = []

    def start(*options: str) -> SshServer:
        started.append(SshServer(tmp_path / "server", *options))
        monkeypatch.setenv("EDGE_CLASSIFY_SSH", started[-1].command)
        return started[-1]

    monkeypatch.setattr(run, "build_wheel", one_wheel)
    yield start
    for server in started:
        server.stop()


@pytest.fixture
def measure(tmp_path: Path) -> Measure:
    model = tmp_path / "model.tflite"
    model.write_bytes(b"model")

    def start(*arguments: str, files: tuple[Path, ...] = (model,), **fields: Any) -> DeviceOutcome:
        job = RemoteJob(files, arguments, **{"keep": True, **fields})
        (outcome,) = run.run_on([Target.parse("pi")], job, lambda _target, _lines: None)
        return outcome

    return start


def test_changed_host_key_is_refused_and_its_line_named(
    serve: Serve, measure: Measure, tmp_path: Path
) -> None:
    server = serve()
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")]
    subprocess.run(command, check=True)
    server.trust((tmp_path / "other.pub").read_text())
    error = measure().error or ""
    assert f"not the one in {server.folder}/known_hosts:1" in error
    assert "ssh-keygen -R pi" in error
    assert not list(server.cache.iterdir())


def test_unknown_host_key_is_refused_with_the_way_to_accept_it(serve: Serve, measure: Measure) -> None:
    server = serve()
    (server.folder / "known_hosts").write_text("")
    assert "not known here yet. Run `ssh pi` once" in (measure().error or "")
    assert (server.folder / "known_hosts").read_text() == ""


def test_password_is_never_waited_for(serve: Serve, measure: Measure) -> None:
    serve("PasswordAuthentication yes", "PubkeyAuthentication no")
    assert "without a password" in (error := measure().error or "")
    assert "ssh-copy-id pi" in error


def test_missing_server_is_an_error_at_once(serve: Serve, measure: Measure) -> None:
    serve().stop()
    assert "refuses the connection" in (measure().error or "")


def test_missing_ssh_is_an_error_that_names_it(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_CLASSIFY_SSH", "no-such-program")
    assert "needs the program no-such-program" in (measure().error or "")


@pytest.mark.parametrize("version", [None, "Python 3.9.2"])
def test_device_without_a_new_enough_python_is_an_error_with_the_versions_found(
    version: str | None, serve: Serve, measure: Measure, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sh").symlink_to("/bin/sh")
    if version:
        (programs / "python3").write_text(f'#!/bin/sh\n[ "$1" = -V ] && echo {version}\nexit 1\n')
        (programs / "python3").chmod(0o755)
    serve(f'ForceCommand /usr/bin/env PATH={programs} /bin/sh -c "$SSH_ORIGINAL_COMMAND"')
    assert f"Python 3.10 or newer is needed there. Received: {version or 'none'}" in (measure().error or "")


def test_full_disk_is_an_error_before_anything_is_sent(
    serve: Serve, measure: Measure, tmp_path: Path
) -> None:
    server = serve()
    keep_stand_in(server)
    with (tmp_path / "huge.tflite").open("wb") as file:
        file.truncate(2_000_000_000_000)  # A hole: it takes no room here.
    outcome = measure(files=(tmp_path / "huge.tflite",))
    assert re.search(r"pi: 200000\d MB are needed in", outcome.error or "")  # With our wheel of some MB.
    assert outcome.left is None


def test_login_scripts_that_print_do_no_harm(serve: Serve, measure: Measure) -> None:
    server = serve('ForceCommand echo welcome; printf "no end of line"; eval "$SSH_ORIGINAL_COMMAND"')
    keep_stand_in(server)
    assert len(measure().records) == 1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--kill", "killed there by signal 9 (probably for lack of memory)"),
        ("--fail", "ended there with status 1: Error: it cannot be done"),
        ("--garbage", "this is not a result of edge-benchmark: 'this is no result'"),
    ],
)
def test_run_that_fails_there_is_an_error_and_cleaned_up(
    option: str, message: str, serve: Serve, measure: Measure
) -> None:
    server = serve()
    keep_stand_in(server)
    outcome = measure(option)
    assert message in (outcome.error or "")
    assert outcome.left is None
    assert not list((server.cache / "edge-classify").glob("benchmark-*"))


@pytest.mark.slow
def test_missing_wheels_are_an_error_with_the_command_that_fetches_them(
    serve: Serve, measure: Measure, tmp_path: Path
) -> None:
    serve()
    wheel = tmp_path / "click-0.0.1-py3-none-any.whl"
    wheel.write_bytes(one_wheel().data)
    error = measure(wheels=(wheel,), keep=False).error or ""
    assert "no --wheel for it holds click>=" in error
    assert "pip download --only-binary=:all: --python-version 3." in error


def test_failures_of_pip_are_named_by_their_cause() -> None:
    def explain(text: str, **facts: Any) -> str:
        reply = {"failed": "pip", "text": text, "requires": ["click>=8.1", "tflite-runtime>=2.14"]}
        return str(explain_failure("pi", {**FACTS, **facts}, reply, offline=False))

    away = "WARNING: Retrying: NewConnectionError(...)\nERROR: No matching distribution found for click>=8.1"
    assert "cannot reach a package index" in explain(away)
    assert "--platform manylinux_2_28_aarch64 --platform manylinux_2_31_aarch64" in explain(away)
    assert "manylinux_2_39" not in explain(away)
    assert "linux_armv7l" in explain(away, bits=32)
    assert explain(away).endswith("--dest wheels --no-deps 'tflite-runtime>=2.14'")
    assert "the disk there is full" in explain("ERROR: [Errno 28] No space left on device")
    assert "(it is broken)" in explain("long talk\nERROR: it is broken")


def test_python_without_venv_or_debians_packages_is_an_error_with_the_package_to_install() -> None:
    with pytest.raises(BenchmarkError, match=r"pi: .*lacks ensurepip.*sudo apt install python3-venv"):
        check_python("pi", {**FACTS, "missing": ["ensurepip"]})
    with pytest.raises(BenchmarkError, match=r"lacks numpy, PIL\. Run there: sudo apt install python3-numpy"):
        check_python("pi", {**FACTS, "bits": 32, "missing_from_debian": ["numpy", "PIL"]})
    check_python("pi", {**FACTS, "missing_from_debian": ["numpy"]})
    with pytest.raises(
        BenchmarkError, match=r"^pi: .* 32-bit Python 3\.13 .* Use the 64-bit Raspberry Pi OS"
    ):
        check_python("pi", {**FACTS, "bits": 32, "python": "3.13.5"})


def test_files_that_cannot_be_sent_are_refused_before_any_device_is_called(
    measure: Measure, tmp_path: Path
) -> None:
    assert "is not a file" in (measure(files=(tmp_path / "missing.tflite",)).error or "")
    with pytest.raises(OptionError, match="cannot name a folder"):
        measure(images=(LabelledImage(tmp_path / "model.tflite", "../up"),))
    with pytest.raises(OptionError, match=r"end in \.whl"):
        measure(wheels=(tmp_path / "model.tflite",))
    with pytest.raises(OptionError, match="pi twice"):
        run.run_on([Target.parse("pi"), Target.parse("pi")], RemoteJob(()), lambda _target, _lines: None)
