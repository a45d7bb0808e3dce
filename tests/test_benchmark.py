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
from edge_classify.benchmarks.scoring.split import Split
from edge_classify.edge.default_model import DEFAULT_MODEL

from .support.commands import BIN, run_command
from .support.pictures import write_shapes

JsonLines = Callable[[str], list[dict[str, Any]]]
# What CONTRIBUTING.md promises of every line, beside the sections.
KEYS = {
    "format", "file", "sha256", "size_bytes", "variant", "threads", "runtime", "delegate", "device",
    "load_ms", "first_ms", "median_ms", "median_ci95", "p90_ms", "p95_ms", "p99_ms", "max_ms", "runs",
    "peak_rss_mb", "top1", "top1_ci95", "host", "origin", "conditions",
}  # fmt: skip


def benchmark(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_files_with_a_run_as_data_give_the_contracts_lines_with_the_accuracy_of_the_conversion(
    converted: Path, run: Path, tmp_path: Path, json_lines: JsonLines
) -> None:
    files = [converted / "cnn_int8.tflite", converted / "mobilenet_v2_float32.tflite"]
    saved = tmp_path / "results.jsonl"
    result = run_command(
        "edge-benchmark", *files, "--data", run, "--runs", 30, "--processes", 2, "--json", "--output", saved
    )
    assert result.returncode == 0, result.stderr
    records = json_lines(result.stdout)
    assert records == json_lines(saved.read_text())
    summary = {i["file"]: i for i in json.loads((converted / "conversion.json").read_text())["files"]}
    for record, file in zip(records, files, strict=True):
        assert record.keys() >= KEYS
        assert record["file"] == str(file)
        assert record["size_bytes"] == file.stat().st_size
        assert record["runs"] == 30
        assert (
            0
            < record["median_ms"]
            <= record["p90_ms"]
            <= record["p95_ms"]
            <= record["p99_ms"]
            <= record["max_ms"]
        )
        # A Python process with numpy and a runtime takes tens of MB, and these models are tiny.
        assert 20 < record["peak_rss_mb"] < 500
        assert record["top1"] == summary[file.name]["top1"]
        assert record["host"]["processor"]


def test_table_names_machine_runtime_and_every_file(converted: Path) -> None:
    result = run_command(
        "edge-benchmark", *sorted(converted.glob("cnn_*.tflite")), "--runs", 5, "--processes", 1
    )
    assert result.returncode == 0, result.stderr
    host = describe_host()
    assert host.name in result.stdout
    assert "litert" in result.stdout
    for variant in ("float32", "float16", "dynamic", "int8"):
        assert f"cnn_{variant}.tflite" in result.stdout


def test_file_that_is_no_model_is_named_and_the_others_are_measured(
    converted: Path, tmp_path: Path, json_lines: JsonLines
) -> None:
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(b"\x1c\0\0\0TFL3" + b"\xff" * 64)
    result = benchmark(
        bad,
        tmp_path / "missing.tflite",
        converted / "cnn_int8.tflite",
        "--runs",
        3,
        "--processes",
        1,
        "--json",
    )
    assert result.exit_code == 1
    assert "bad.tflite" in result.stderr and "missing.tflite: no such file" in result.stderr
    assert "Traceback" not in result.stderr
    records = json_lines(result.stdout)
    assert [Path(record["file"]).name for record in records if "error" not in record] == ["cnn_int8.tflite"]
    assert [Path(record["file"]).name for record in records if "error" in record] == [
        "bad.tflite",
        "missing.tflite",
    ]


def test_existing_output_without_force_is_kept(converted: Path, tmp_path: Path) -> None:
    saved = tmp_path / "results.jsonl"
    saved.write_text("mine")
    result = benchmark(converted / "cnn_int8.tflite", "--runs", 3, "--processes", 1, "--output", saved)
    assert result.exit_code == 1
    assert saved.read_text() == "mine"


def test_data_with_classes_that_the_model_does_not_know_is_refused(converted: Path, tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", 2)
    (data / "blue 3").rename(data / "yellow")
    result = benchmark(converted / "cnn_int8.tflite", "--runs", 3, "--processes", 1, "--data", data)
    assert result.exit_code == 1
    assert "yellow" in result.stderr and "blue 3" in result.stderr
    assert "cnn_int8" in result.stdout and " ms" in result.stdout  # What was measured before is not lost.


def test_unreadable_image_in_data_is_skipped_and_the_exit_status_says_so(
    converted: Path, tmp_path: Path, json_lines: JsonLines
) -> None:
    data = write_shapes(tmp_path / "data", 2)
    (data / "blue 3" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    result = benchmark(
        converted / "cnn_float32.tflite", "--runs", 3, "--processes", 1, "--data", data, "--json"
    )
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
    arguments = [foreign_models["float32"], "--runs", 3, "--processes", 1, "--json", "--data", data]
    asked = benchmark(*arguments)
    assert asked.exit_code == 1
    assert "--normalization" in asked.stderr
    result = benchmark(*arguments, "--labels", labels, "--normalization", "-1..1")
    assert result.exit_code == 0, result.stderr
    # The model answers with the strongest colour, and the shapes' classes differ in just that.
    assert json_lines(result.stdout)[0]["top1"] == 1.0


def test_peak_memory_grows_when_memory_is_used() -> None:
    # In a process of its own, since this one's peak may lie far above what it uses now.
    code = (
        "from edge_classify.benchmarks.measuring.memory import peak_rss_mb\n"
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
    result = benchmark(
        converted / "cnn_int8.tflite", "--runs", 3, "--processes", 1, "--data", tmp_path, "--json"
    )
    assert result.exit_code == 0, result.stderr
    images = len(Split.read(tmp_path).subset("validation", shapes))
    assert (json_lines(result.stdout)[0]["top1"] * images) % 1 == pytest.approx(0, abs=1e-9)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="watches child processes in /proc")
def test_interrupt_keeps_what_was_measured(converted: Path, tmp_path: Path, json_lines: JsonLines) -> None:
    saved = tmp_path / "results.jsonl"
    models = [converted / "cnn_int8.tflite", converted / "mobilenet_v2_float32.tflite"]
    process = subprocess.Popen(
        [
            BIN / "edge-benchmark",
            *models,
            "--runs",
            "6",
            "--processes",
            "1",
            "--soak",
            "10",
            "--output",
            saved,
            "--json",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # A few runs take far less than that: one that has used so much is in the soak, after the measurement.
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and max(map(_cpu_seconds, _children(process.pid)), default=0) < 4:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Interrupted: 2 of 2 were measured" in stderr and "Traceback" not in stderr
    records = json_lines(stdout)
    assert [Path(record["file"]).name for record in records] == [model.name for model in models]
    assert records[0]["soak"]["points"] and records[0]["runs"] == 6
    assert json_lines(saved.read_text()) == records


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _cpu_seconds(pid: str) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # It has ended since.
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_output_that_is_a_link_is_followed_and_one_of_the_models_is_refused(
    converted: Path, tmp_path: Path
) -> None:
    target, link = tmp_path / "real.jsonl", tmp_path / "link.jsonl"
    target.write_text("old")
    link.symlink_to(target)
    model = shutil.copy(converted / "cnn_int8.tflite", tmp_path)
    assert benchmark(model, "--runs", 3, "--processes", 1, "--output", link, "--force").exit_code == 0
    assert link.is_symlink() and json.loads(target.read_text())["runs"] == 3
    refused = benchmark(model, "--runs", 3, "--processes", 1, "--output", model, "--force")
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
    result = run_command(
        "edge-benchmark", converted / "cnn_int8.tflite", "--runs", 3, "--processes", 1, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr


def measured(path: Path, *arguments: object) -> list[dict[str, Any]]:
    """Measure a model for a short time, and return what was written to `path`."""
    result = benchmark(*arguments, "--runs", 6, "--processes", 1, "--output", path)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_number_of_threads_takes_turns_and_the_advice_names_them(
    converted: Path, tmp_path: Path
) -> None:
    model = converted / "cnn_int8.tflite"
    records = measured(tmp_path / "r.jsonl", model, "--threads", "1,2")
    assert [record["threads"] for record in records] == [1, 2]
    assert records[1]["ratio"]["base"] == str(model) and records[0]["ratio"] is None
    assert [record["yardstick"]["ratio"] > 0 for record in records] == [True, True]
    shown = benchmark(model, "--threads", "1,2", "--runs", 6, "--processes", 1).stdout
    assert "cnn_int8.tflite, 1 thread" in shown and "cnn_int8.tflite, 2 threads" in shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--threads", "1,0"), "1 to 256, or several such as 1,2,4. Received: 1,0"),
        (("--runtime", "onnx"), "ai-edge-litert, tflite-runtime, tensorflow. Received: 'onnx'"),
        (("--max-regression", "0.05"), "such as 5%"),
        (("--budget", "speed=1"), "'--budget': must be limits of size, ram"),
        (("--budget", "drop=1"), "--budget drop goes with --data"),
        (("--stages",), "--stages goes with --data"),
        (("--wheel", "x.whl"), "--wheel goes with --on user@host"),
        (("--delegate-fallback",), "--delegate-fallback goes with --delegate"),
        (("--base", "other.tflite", "--threads", "1,2"), "--base must be one of the files"),
        (("--json", "--markdown"), "--markdown does not go with --json"),
        (("--max-regression", "5%"), "--max-regression goes with --baseline or --compare"),
        (("--sample", "5"), "--sample goes with --on"),
        (("--sample", "5", "--on", "pi"), "--sample goes with --data"),
        (("--force",), "--force goes with --output, --report or --baseline"),
        (("--compare",), "--compare takes two files"),
        (("--compare", "--markdown"), "--markdown does not go with --compare"),
        (("--compare", "--runs", "5"), "--runs does not go with --compare"),
    ],
)
def test_option_that_would_be_ignored_or_makes_no_sense_is_a_usage_error(
    arguments: tuple[str, ...], told: str
) -> None:
    result = benchmark("m.tflite", *arguments)
    assert result.exit_code == 2, result.stderr
    assert told in " ".join(result.stderr.split())


def test_file_above_the_budget_fails_and_is_told_why(converted: Path, json_lines: JsonLines) -> None:
    model = converted / "cnn_int8.tflite"
    result = benchmark(model, "--runs", 3, "--processes", 1, "--budget", "size=1kB")
    assert result.exit_code == 1 and "is above 0.001" in result.stdout and "ship none" in result.stdout
    result = benchmark(model, "--runs", 3, "--processes", 1, "--budget", "ram=1GB", "--json")
    advice = json_lines(result.stdout)[-1]["recommendation"]
    assert (result.exit_code, advice["ship"]) == (0, "cnn_int8.tflite")


def slowed(records: list[dict[str, Any]], times: float) -> list[dict[str, Any]]:
    """Return the records as of a model that takes so many times as long, in every block."""
    found: list[dict[str, Any]] = json.loads(json.dumps(records))
    for record in found:
        for part in (record, record["yardstick"]):
            part["blocks"] = [[value * times for value in process] for process in part["blocks"]]
        record["yardstick"]["ratio"] *= times
        record["yardstick"]["ratio_ci95"] = [value * times for value in record["yardstick"]["ratio_ci95"]]
        for key in ("median_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms"):
            record[key] *= times
        record["median_ci95"] = [value * times for value in record["median_ci95"]]
        record["conditions"]["warnings"] = []
    return found


def write_lines(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_comparison_finds_what_got_slower_and_only_a_limit_makes_it_fail(
    converted: Path, tmp_path: Path, json_lines: JsonLines
) -> None:
    records = measured(tmp_path / "r.jsonl", converted / "cnn_int8.tflite")
    before = write_lines(tmp_path / "before.jsonl", slowed(records, 1.0))
    after = write_lines(tmp_path / "after.jsonl", slowed(records, 1.5))
    told = benchmark("--compare", before, after)
    assert told.exit_code == 0 and "+50.0%" in told.stdout, told.stdout
    judged = benchmark("--compare", before, after, "--max-regression", "5%", "--json")
    assert judged.exit_code == 1
    (comparison,) = (line["comparison"] for line in json_lines(judged.stdout))
    assert comparison["pairs"][0]["verdict"] == "slower" and len(comparison["regressions"]) == 1
    assert benchmark("--compare", after, before, "--max-regression", "5%").exit_code == 0


def test_baseline_of_another_machine_is_refused_before_anything_is_measured(
    converted: Path, tmp_path: Path
) -> None:
    model = converted / "cnn_int8.tflite"
    records = measured(tmp_path / "r.jsonl", model)
    for record in records:
        record["host"] |= {"fingerprint": "0" * 12, "board": "Raspberry Pi 5 Model B"}
    other = write_lines(tmp_path / "other.jsonl", records)
    refused = benchmark(model, "--runs", 3, "--processes", 1, "--baseline", other)
    assert refused.exit_code == 1 and not refused.stdout
    assert "another machine: Raspberry Pi 5 Model B" in refused.stderr and "--force" in refused.stderr
    forced = benchmark(
        model, "--runs", 3, "--processes", 1, "--baseline", other, "--force", "--max-regression", "900%"
    )
    assert forced.exit_code == 0, forced.stderr


def test_report_markdown_and_operations_are_made_of_the_same_results(converted: Path, tmp_path: Path) -> None:
    models = [converted / "cnn_int8.tflite", converted / "cnn_float32.tflite"]
    page = tmp_path / "report.html"
    result = benchmark(
        *models, "--runs", 6, "--processes", 1, "--by-operation", "--report", page, "--markdown"
    )
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("**") and "| cnn" in result.stdout
    assert "own profiler" in page.read_text(encoding="utf-8")
    assert f"Report: {page}" in result.stderr


def test_stages_and_training_images_are_told_with_the_accuracy(
    run: Path, converted: Path, shapes: Path, json_lines: JsonLines
) -> None:
    # The folder that the run was trained on: most of its images were training images.
    result = benchmark(
        converted / "cnn_int8.tflite",
        "--runs",
        6,
        "--processes",
        1,
        "--data",
        shapes,
        "--split",
        run,
        "--stages",
        "--json",
    )
    assert result.exit_code == 0, result.stderr
    (record,) = json_lines(result.stdout)
    accuracy, stages = record["accuracy"], record["stages"][0]
    assert accuracy["training_images"] > accuracy["images"] / 2 and accuracy["own_split"]
    assert any("were used to train cnn_int8.tflite" in remark for remark in record["remarks"])
    assert stages["invoke"]["median"] > 0 and record["cold_start"]["median_ms"] > 20


def test_baseline_of_other_models_is_told_and_the_report_is_written_all_the_same(
    converted: Path, tmp_path: Path
) -> None:
    other, page = tmp_path / "other.jsonl", tmp_path / "report.html"
    measured(other, converted / "cnn_float32.tflite")
    arguments = ["--runs", 3, "--processes", 1, "--baseline", other, "--report", page]
    result = benchmark(converted / "cnn_int8.tflite", *arguments)
    assert result.exit_code == 1 and "no model in common" in result.stderr
    assert page.is_file() and "cnn_int8" in result.stdout


def test_password_of_a_camera_is_in_no_output(
    converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://me:s3cret-word@127.0.0.1:9/video"
    arguments = [str(converted / "cnn_int8.tflite"), "--runs", "3", "--processes", "1", "--markdown"]
    monkeypatch.setattr(sys, "argv", ["edge-benchmark", *arguments, "--camera", url])
    result = benchmark(*arguments, "--camera", url)
    assert result.exit_code == 1 and "edge-benchmark" in result.stdout
    assert "s3cret" not in result.output


def test_labels_for_models_that_carry_a_card_are_said_to_have_no_effect(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\n")
    quick = (DEFAULT_MODEL, "--runs", 5, "--processes", 1, "--camera", tmp_path / "none.mp4")
    remark = "--labels has no effect with models that carry a card"
    assert remark in benchmark(*quick, "--labels", labels).stderr
    assert remark not in benchmark(*quick).stderr
