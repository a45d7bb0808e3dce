"""edge-benchmark --on, whole: a real measurement over a real ssh server, and what comes of it here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from edge_classify.benchmarks.cli import main
from edge_classify.benchmarks.results.reading import read_results
from edge_classify.benchmarks.results.result import Result as Measured
from PIL import Image

from .support.android import MI_11, install_adb, write_tool
from .support.commands import BIN
from .support.pictures import write_shapes
from .support.ssh_server import SshServer, keep_stand_in
from .support.tiny_model import COLOURS, LABELS, write_sealed


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that plays /data/local/tmp."""
    return install_adb(tmp_path, monkeypatch)


def benchmark(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    """A machine on which an environment was kept, whose edge-benchmark is the real one."""
    started = SshServer(tmp_path / "server")
    keep_stand_in(started)
    (program,) = started.cache.glob("edge-classify/*/bin/edge-benchmark")
    program.write_text(f'#!/bin/sh\nexec {BIN / "edge-benchmark"} "$@"\n')
    monkeypatch.setenv("EDGE_CLASSIFY_SSH", started.command)
    yield started
    started.stop()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_sealed(tmp_path / "tiny model.tflite")


def write_colours(root: Path) -> Path:
    """Write a picture of each class of the tiny model, for which bright pictures are grey."""
    for label in LABELS:
        (root / label).mkdir(parents=True)
        Image.new("RGB", (12, 10), COLOURS.get(label, (245, 245, 245))).save(root / label / "one.png")
    return root


@pytest.mark.slow
def test_device_measures_a_sample_and_its_results_have_the_names_of_this_side(
    server: SshServer, model: Path, tmp_path: Path
) -> None:
    data, saved = write_colours(tmp_path / "data"), tmp_path / "far.jsonl"
    arguments = [
        model,
        "--on",
        "pi",
        "--keep",
        "--runs",
        6,
        "--threads",
        "1,2",
        "--data",
        data,
        "--sample",
        3,
    ]
    result = benchmark(*arguments, "--base", model, "--output", saved)
    assert result.exit_code == 0, result.stderr
    found = [record for record in read_results(saved) if isinstance(record, Measured)]
    assert [(r.subject.file, r.subject.threads, r.subject.device) for r in found] == [
        (str(model), 1, "pi"), (str(model), 2, "pi"),
    ]  # fmt: skip
    accuracy = found[0].accuracy
    assert accuracy is not None and accuracy.images == 3 and accuracy.data == "data, a sample"
    assert "pi:" in result.stdout and "ship tiny model.tflite" in result.stdout
    assert "tiny model.tflite cannot be told from chance: 100.0% of 3 images are right" in result.stderr
    assert not list(server.cache.glob("edge-classify/benchmark-*"))


def test_device_that_cannot_be_reached_costs_the_other_nothing(server: SshServer, model: Path) -> None:
    server.stop()
    server.restart()
    result = benchmark(
        model, "--on", "pi", "--on", "nobody@127.0.0.1:9", "--keep", "--runs", 3, "--processes", 1, "--json"
    )
    assert result.exit_code == 1
    assert "nobody@127.0.0.1:9: it refuses the connection" in result.stderr
    (record,) = (json.loads(line) for line in result.stdout.splitlines())
    assert record["device"] == "pi" and record["runs"] == 3


def test_model_that_cannot_be_read_is_an_error_before_any_device_is_called(tmp_path: Path) -> None:
    result = benchmark(tmp_path / "missing.tflite", "--on", "pi")
    assert result.exit_code == 1 and result.stderr.count("no such file") == 1


def test_training_images_are_found_here_though_the_split_is_not_there(
    server: SshServer, run: Path, converted: Path, shapes: Path, tmp_path: Path
) -> None:
    arguments: list[Any] = [
        converted / "cnn_int8.tflite",
        "--on",
        "pi",
        "--keep",
        "--runs",
        3,
        "--processes",
        1,
        "--json",
    ]
    result = benchmark(*arguments, "--data", shapes, "--split", run, "--sample", 30)
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout.splitlines()[0])
    assert record["accuracy"]["training_images"] > 10 and record["accuracy"]["own_split"]
    assert any("were used to train cnn_int8.tflite" in remark for remark in record["remarks"])


def test_phone_has_a_table_of_its_own_and_is_no_result_to_compare(
    phone: Path,
    model: Path,
    tmp_path: Path,
) -> None:
    saved, program = tmp_path / "phone.jsonl", write_tool(tmp_path, MI_11)
    result = benchmark(model, "--on", "adb", "--benchmark-model", program, "--output", saved)
    assert result.exit_code == 0, result.stderr
    assert "Google Pixel 7" in result.stdout and "249.68 ms" in result.stdout
    assert json.loads(saved.read_text())["tool"] == "benchmark_model"
    assert not list(phone.iterdir())
    refused = benchmark(model, "--on", "adb", "--benchmark-model", program, "--soak", 1)
    assert refused.exit_code == 2 and "--soak does not go with --on adb, which only" in refused.stderr
    page = tmp_path / "report.html"
    refused = benchmark(model, "--on", "adb", "--benchmark-model", program, "--report", page)
    assert refused.exit_code == 2 and "--report does not go with --on adb alone" in refused.stderr


def test_folder_without_wheels_is_an_error(model: Path, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    result = benchmark(model, "--on", "pi", "--wheel", tmp_path / "wheels")
    assert result.exit_code == 1 and "a folder without .whl files" in result.stderr


def test_options_of_other_machines_are_refused_before_anything_is_done(model: Path, tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", 1)
    for target, reason in (("-oProxyCommand=x", "cannot begin with '-'"), ("a b", "names no usable host")):
        result = benchmark(model, f"--on={target}")
        assert result.exit_code == 2 and reason in result.stderr
