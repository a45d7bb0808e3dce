"""Latency, memory and accuracy, measured with the real interpreter in its own process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from edge_classify.benchmarks.cli import main
from edge_classify.benchmarks.host import describe_host
from edge_classify.benchmarks.latency import MAX_RUNS, MIN_RUNS, WARM_UP_RUNS, is_stable, time_runs
from edge_classify.benchmarks.split import Split

from .conftest import BIN, run_command, write_shapes

JsonLines = Callable[[str], list[dict[str, Any]]]
KEYS = (
    "file", "variant", "threads", "runtime", "load_ms", "first_ms", "median_ms", "p90_ms", "p95_ms", "p99_ms",
    "runs", "peak_rss_mb", "size_bytes", "top1", "top1_ci95", "host",
)  # fmt: skip


def benchmark(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_files_with_a_run_as_data_give_the_contracts_lines_with_the_accuracy_of_the_conversion(
    converted: Path, run: Path, tmp_path: Path, json_lines: JsonLines
) -> None:
    files = [converted / "cnn_int8.tflite", converted / "mobilenet_v2_float32.tflite"]
    saved = tmp_path / "results.jsonl"
    result = run_command("edge-benchmark", *files, "--data", run, "--runs", 30, "--json", "--output", saved)
    assert result.returncode == 0, result.stderr
    records = json_lines(result.stdout)
    assert records == json_lines(saved.read_text())
    summary = {i["file"]: i for i in json.loads((converted / "conversion.json").read_text())["files"]}
    for record, file in zip(records, files, strict=True):
        assert tuple(record) == KEYS
        assert record["file"] == str(file)
        assert record["size_bytes"] == file.stat().st_size
        assert record["runs"] == 30
        assert 0 < record["median_ms"] <= record["p90_ms"] <= record["p95_ms"] <= record["p99_ms"]
        # A Python process with numpy and a runtime takes tens of MB, and these models are tiny.
        assert 20 < record["peak_rss_mb"] < 500
        assert record["top1"] == summary[file.name]["top1"]
        assert record["host"]["processor"]


def test_table_names_machine_runtime_and_every_file(converted: Path) -> None:
    result = run_command("edge-benchmark", *sorted(converted.glob("cnn_*.tflite")), "--runs", 5)
    assert result.returncode == 0, result.stderr
    host = describe_host()
    assert str(host["board"] or host["processor"]) in result.stdout
    assert "litert" in result.stdout
    for variant in ("float32", "float16", "dynamic", "int8"):
        assert f"cnn_{variant}.tflite" in result.stdout


def test_file_that_is_no_model_is_named_and_the_others_are_measured(
    converted: Path, tmp_path: Path, json_lines: JsonLines
) -> None:
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(b"\x1c\0\0\0TFL3" + b"\xff" * 64)
    result = benchmark(bad, tmp_path / "missing.tflite", converted / "cnn_int8.tflite", "--runs", 3, "--json")
    assert result.exit_code == 1
    assert "bad.tflite" in result.stderr and "missing.tflite: no such file" in result.stderr
    assert "Traceback" not in result.stderr
    assert [Path(record["file"]).name for record in json_lines(result.stdout)] == ["cnn_int8.tflite"]


def test_existing_output_without_force_is_kept(converted: Path, tmp_path: Path) -> None:
    saved = tmp_path / "results.jsonl"
    saved.write_text("mine")
    result = benchmark(converted / "cnn_int8.tflite", "--runs", 3, "--output", saved)
    assert result.exit_code == 1
    assert saved.read_text() == "mine"


def test_data_with_classes_that_the_model_does_not_know_is_refused(converted: Path, tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", 2)
    (data / "blue 3").rename(data / "yellow")
    result = benchmark(converted / "cnn_int8.tflite", "--runs", 3, "--data", data)
    assert result.exit_code == 1
    assert "yellow" in result.stderr and "blue 3" in result.stderr
    assert "cnn_int8.tflite" in result.stdout  # What was measured before is not lost.


def test_unreadable_image_in_data_is_skipped_and_the_exit_status_says_so(
    converted: Path, tmp_path: Path, json_lines: JsonLines
) -> None:
    data = write_shapes(tmp_path / "data", 2)
    (data / "blue 3" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    result = benchmark(converted / "cnn_float32.tflite", "--runs", 3, "--data", data, "--json")
    assert result.exit_code == 1
    assert "broken.jpg" in result.stderr
    (record,) = json_lines(result.stdout)
    assert record["top1"] is not None


def test_foreign_model_is_measured_and_scored_with_labels_and_normalization(
    foreign_models: dict[str, Path], tmp_path: Path, json_lines: JsonLines
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("red disc\ngrüne Fläche\nblue 3\n", encoding="utf-8")
    data = write_shapes(tmp_path / "data", 4)
    arguments = [foreign_models["float32"], "--runs", 3, "--json", "--data", data]
    asked = benchmark(*arguments)
    assert asked.exit_code == 1
    assert "--normalization" in asked.stderr
    result = benchmark(*arguments, "--labels", labels, "--normalization", "-1..1")
    assert result.exit_code == 0, result.stderr
    # The model answers with the strongest colour, and the shapes' classes differ in just that.
    assert json_lines(result.stdout)[0]["top1"] == 1.0


def test_runs_are_counted_after_a_warm_up() -> None:
    calls: list[None] = []
    latencies = time_runs(lambda: calls.append(None), 7)
    assert len(latencies) == 7
    assert len(calls) == 7 + WARM_UP_RUNS


def test_runs_without_a_number_go_on_until_stable_and_end() -> None:
    assert MIN_RUNS <= len(time_runs(lambda: sum(range(2000)), None)) <= MAX_RUNS


@pytest.mark.parametrize(
    ("latencies", "stable"),
    [([1.0] * 10, True), ([1.0] * 5 + [1.1] * 5, False), ([1.0] * 5 + [1.01] * 5, True)],
)
def test_stability_compares_the_medians_of_both_halves(latencies: list[float], stable: bool) -> None:
    assert is_stable(latencies) is stable


def test_peak_memory_grows_when_memory_is_used() -> None:
    # In a process of its own, since this one's peak may lie far above what it uses now.
    code = (
        "from edge_classify.benchmarks.host import peak_rss_mb\n"
        "before = peak_rss_mb(); block = bytearray(b'x') * 150_000_000; print(peak_rss_mb() - before)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 130 < float(result.stdout) < 400


def test_data_as_a_run_without_test_images_uses_the_validation_images(
    run: Path, converted: Path, shapes: Path, tmp_path: Path, json_lines: JsonLines
) -> None:
    split = json.loads((run / "split.json").read_text())
    split["root"] = str(shapes)
    for image in split["images"]:
        if image["subset"] == "test":
            image["subset"] = "train"
    (tmp_path / "split.json").write_text(json.dumps(split))
    result = benchmark(converted / "cnn_int8.tflite", "--runs", 3, "--data", tmp_path, "--json")
    assert result.exit_code == 0, result.stderr
    images = len(Split.read(tmp_path).subset("validation", shapes))
    assert (json_lines(result.stdout)[0]["top1"] * images) % 1 == pytest.approx(0, abs=1e-9)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="watches child processes in /proc")
def test_interrupt_keeps_what_was_measured(converted: Path, tmp_path: Path, json_lines: JsonLines) -> None:
    saved = tmp_path / "results.jsonl"
    others = [converted / "mobilenet_v2_float32.tflite"] * 2
    process = subprocess.Popen(
        [BIN / "edge-benchmark", converted / "cnn_int8.tflite", *others, "--output", saved, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    workers_seen: set[str] = set()
    deadline = time.monotonic() + 60
    while len(workers_seen) < 2 and time.monotonic() < deadline:
        workers_seen |= set(_children(process.pid))
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Interrupted: 1 of 3 files were measured" in stderr and "Traceback" not in stderr
    assert [Path(record["file"]).name for record in json_lines(stdout)] == ["cnn_int8.tflite"]
    assert json_lines(saved.read_text()) == json_lines(stdout)


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_output_that_is_a_link_is_followed_and_one_of_the_models_is_refused(
    converted: Path, tmp_path: Path
) -> None:
    target, link = tmp_path / "real.jsonl", tmp_path / "link.jsonl"
    target.write_text("old")
    link.symlink_to(target)
    model = shutil.copy(converted / "cnn_int8.tflite", tmp_path)
    assert benchmark(model, "--runs", 3, "--output", link, "--force").exit_code == 0
    assert link.is_symlink() and json.loads(target.read_text())["runs"] == 3
    refused = benchmark(model, "--runs", 3, "--output", model, "--force")
    assert refused.exit_code == 1 and "one of the models" in refused.stderr
    assert Path(model).read_bytes() == (converted / "cnn_int8.tflite").read_bytes()


def test_output_that_cannot_be_written_is_found_out_before_measuring(converted: Path, tmp_path: Path) -> None:
    result = benchmark(converted / "cnn_int8.tflite", "--output", tmp_path / "missing" / "results.jsonl")
    assert result.exit_code == 1 and "cannot be written" in result.stderr and not result.stdout


def test_earlier_results_survive_when_nothing_could_be_measured(tmp_path: Path) -> None:
    saved = tmp_path / "results.jsonl"
    saved.write_text("earlier")
    assert benchmark(tmp_path / "missing.tflite", "--output", saved, "--force").exit_code == 1
    assert saved.read_text() == "earlier"


def test_modules_in_the_working_folder_are_not_imported(converted: Path, tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('taken over')")
    result = run_command("edge-benchmark", converted / "cnn_int8.tflite", "--runs", 3, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
