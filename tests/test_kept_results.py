"""Results are not lost with the place where they should go, nor to a second writer."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from edge_classify.benchmarks.cli import main as benchmark_main
from edge_classify.benchmarks.results.reading import read_results
from edge_classify.benchmarks.session import BenchmarkSession
from edge_classify.convert.output import read_summary
from edge_classify.edge import default_model
from edge_classify.edge.locks import lock_file
from edge_classify.train.output import MODEL_FILES, finish_move
from PIL import Image

from .support.commands import BIN
from .support.foreign import convert_foreign, head, network, save_tflite

QUICK = ("--runs", "3", "--processes", "1")


def benchmark(*arguments: object) -> Result:
    model = str(default_model.DEFAULT_MODEL)
    return CliRunner().invoke(benchmark_main, [model, *QUICK, *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder for outputs, which is not the working folder."""
    (tmp_path / "here").mkdir()
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "out"


def after_measuring(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Have the disk change while models are measured."""
    real = BenchmarkSession.run

    def measure(session: BenchmarkSession) -> None:
        real(session)
        change()

    monkeypatch.setattr(BenchmarkSession, "run", measure)


def test_results_whose_folder_is_gone_are_shown_and_kept_in_the_working_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_measuring(monkeypatch, lambda: shutil.rmtree(folder))
    done = benchmark("--output", folder / "r.jsonl", "--report", folder / "r.html")
    kept = folder.parent / "here"
    assert done.exit_code == 1
    assert "default_model" in done.stdout
    assert (
        f"kept in {kept / 'r.kept.jsonl'}" in done.stderr and f"kept in {kept / 'r.kept.html'}" in done.stderr
    )
    assert len(read_results(kept / "r.kept.jsonl")) == 1
    assert (kept / "r.kept.html").read_text().rstrip().endswith("</html>")


def test_results_that_no_folder_takes_are_printed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    after_measuring(monkeypatch, lambda: monkeypatch.setattr("os.fsync", refuse))
    done = benchmark("--output", folder / "r.jsonl")
    assert done.exit_code == 1 and "No space left on device" in done.stderr
    (record,) = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert record["runs"] == 3
    assert list(folder.iterdir()) == []


def test_file_that_appears_while_models_are_measured_is_not_replaced(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_measuring(monkeypatch, lambda: (folder / "r.jsonl").write_text("theirs"))
    done = benchmark("--output", folder / "r.jsonl", "--report", folder / "r.html")
    assert done.exit_code == 1 and "r.jsonl has appeared meanwhile" in done.stderr
    assert (folder / "r.jsonl").read_text() == "theirs"
    assert len(read_results(folder / "r.kept.jsonl")) == 1
    assert (folder / "r.html").exists()


def test_second_conversion_into_a_folder_is_refused_while_the_first_goes_on(tmp_path: Path) -> None:
    model = save_tflite(network(head), tmp_path / "m.tflite")
    output = tmp_path / "out"
    output.mkdir()
    with lock_file(output / ".edge-convert.lock"):
        done = convert_foreign(model, output)
    assert done.exit_code == 1
    assert f"Another edge-convert is writing {output}" in done.stderr


def test_conversion_record_that_a_power_cut_left_empty_is_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "conversion.json").touch()
    assert read_summary(tmp_path) == {"source": "", "files": [], "doctor": {}}
    assert "conversion.json is empty, as after a power cut" in capsys.readouterr().err


@pytest.mark.parametrize("empty", [None, "model.keras", "metrics.json"])
def test_trained_model_with_a_file_that_a_power_cut_left_empty_is_not_taken_for_whole(
    empty: str | None, tmp_path: Path
) -> None:
    work, output = tmp_path / "run" / ".unfinished", tmp_path / "run"
    (work / "cnn").mkdir(parents=True)
    for name in MODEL_FILES:
        (work / "cnn" / name).write_text("" if name == empty else "content")
    assert finish_move(work, output, "cnn") == (work / "cnn" if empty is None else None)


def test_two_runs_with_one_name_both_keep_their_lines(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    path = tmp_path / "lines.jsonl"
    command = [str(BIN / "edge-classify"), "--json", "-o", str(path), "-"]
    runs = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for number, process in enumerate(runs, 1):  # Each has opened its file once the first line is in it.
        assert process.stdin is not None
        process.stdin.write(f"{tmp_path / 'a.png'}\n" * number)
        process.stdin.flush()
    while len([part for part in tmp_path.glob(".lines.jsonl.*.part") if part.stat().st_size]) < 2:
        assert all(process.poll() is None for process in runs)
    said = [process.communicate(timeout=300)[1] for process in runs]
    assert sorted(process.returncode for process in runs) == [0, 1]
    assert "lines.kept.jsonl" in "".join(said)
    counts = sorted(len(each.read_text().splitlines()) for each in tmp_path.glob("lines*.jsonl"))
    assert counts == [1, 2]
