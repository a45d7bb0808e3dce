"""Android devices. There is none here: a program called adb plays one, whose /data/local/tmp is a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from edge_classify.benchmarks.devices.android import choose_device, parse_devices, print_tool_results
from edge_classify.benchmarks.devices.remote_job import DeviceOutcome, RemoteJob
from edge_classify.benchmarks.devices.run import run_on
from edge_classify.benchmarks.devices.target import AdbTarget, Target
from edge_classify.edge.errors import BenchmarkError

from .support import tiny_model
from .support.android import MI_11, WITH_MEDIAN, install_adb, write_tool


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that plays /data/local/tmp."""
    return install_adb(tmp_path, monkeypatch)


def measure(job: RemoteJob) -> tuple[DeviceOutcome, list[dict[str, Any]]]:
    seen: list[dict[str, Any]] = []
    (outcome,) = run_on([Target.parse("adb")], job, lambda _target, lines: seen.extend(lines))
    return outcome, seen


def test_models_are_run_by_benchmark_model_and_nothing_stays_there(
    phone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_model.write_sealed(tmp_path / "it's a model.tflite")
    job = RemoteJob((model,), threads=(1, 4), runs=70, benchmark_model=write_tool(tmp_path, MI_11))
    outcome, seen = measure(job)
    assert outcome.error is None
    assert outcome.left is None
    assert outcome.status == 0
    assert list(outcome.records) == seen
    first = seen[0]
    assert [record["threads"] for record in seen] == [1, 4]
    assert first["file"] == str(model)
    assert first["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert (first["device"], first["tool"]) == ("adb", "benchmark_model")
    assert (first["mean_ms"], first["median_ms"], first["load_ms"]) == (249.684, None, 16.242)
    assert "cannot be compared with a median" in first["remarks"][0]
    assert first["host"]["board"] == "Google Pixel 7"
    assert first["host"]["system"] == "Android 14"
    log = (tmp_path / "log").read_text().splitlines()
    assert [line.split()[1:] for line in log] == [[f"--num_threads={n}", "--num_runs=70"] for n in (1, 4)]
    assert not list(phone.iterdir())
    print_tool_results(seen)
    shown = capsys.readouterr().out
    assert "adb: Google Pixel 7, 8 cores, Android 14, benchmark_model" in shown
    assert "249.68 ms" in shown


def test_model_that_fails_there_is_a_failure_and_the_others_go_on(phone: Path, tmp_path: Path) -> None:
    good, bad = (tiny_model.write_sealed(tmp_path / f"{name}.tflite") for name in ("good", "bad"))
    outcome, seen = measure(RemoteJob((good, bad, good), benchmark_model=write_tool(tmp_path, WITH_MEDIAN)))
    assert outcome.status == 1
    assert ["error" in record for record in seen] == [False, True, False]
    assert f"{bad}: benchmark_model gives no figures on adb (Failed to initialize.)" in seen[1]["error"]
    assert (seen[0]["median_ms"], seen[0]["p95_ms"], seen[0]["remarks"]) == (141.253, 187.533, ())
    assert not list(phone.iterdir())


def test_missing_adb_or_tool_is_an_error_with_where_to_get_it(
    phone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--benchmark-model" in (measure(RemoteJob(()))[0].error or "")
    assert "is not a file" in (measure(RemoteJob((), benchmark_model=tmp_path / "none"))[0].error or "")
    monkeypatch.setenv("PATH", str(phone))
    assert "apt install adb" in (measure(RemoteJob(()))[0].error or "")


LISTED = "List of devices attached\nA\tdevice\nB\tunauthorized\nC\tno permissions (user in plugdev group)\n"


@pytest.mark.parametrize(
    ("serial", "listed", "said"),
    [
        (None, "List of devices attached\n\n", "lists: none. Plug one in"),
        (None, "A\tdevice\nB\tdevice\n", r"several devices.*A \(device\), B \(device\)"),
        (None, "B\tunauthorized\n", "confirm the question on its screen"),
        ("B", LISTED, "confirm the question on its screen"),
        ("C", LISTED, "its state is no permissions"),
        ("D", LISTED, r"does not list this device. It lists: A \(device\), B \(unauthorized\)"),
        (None, "A\toffline\n", "it is offline"),
    ],
)
def test_devices_that_cannot_be_used_are_an_error_with_the_list_of_devices(
    serial: str | None, listed: str, said: str
) -> None:
    with pytest.raises(BenchmarkError, match=said):
        choose_device(AdbTarget("adb", serial), parse_devices(listed))


def test_only_device_that_can_be_used_is_chosen() -> None:
    assert choose_device(AdbTarget("adb"), parse_devices(LISTED)) == "A"
    assert choose_device(AdbTarget("adb:A", "A"), parse_devices(LISTED)) == "A"
