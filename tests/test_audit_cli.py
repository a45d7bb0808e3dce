from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from edge_classify.benchmarks.scoring.split import Split

from .support.training import CNN, MODEL_FILES, RUN_FILES, train, tree


@pytest.fixture
def faulty(few: Path, tmp_path: Path) -> Path:
    """Pictures among which one cannot be read, and one lies under two labels."""
    data = shutil.copytree(few, tmp_path / "data")
    (data / "red disc" / "broken.jpg").write_bytes(b"no picture")
    shutil.copy(data / "red disc" / "bild 000.png", data / "blue 3" / "again.png")
    return data


def test_audit_prints_its_findings_to_stdout_and_writes_nothing(faulty: Path, tmp_path: Path) -> None:
    result = train(faulty, "--audit-only")
    assert result.exit_code == 1
    findings = result.stdout.splitlines()
    assert any("1 file cannot be read: red disc/broken.jpg" in line for line in findings)
    assert any("under several labels" in line and "blue 3/again.png" in line for line in findings)
    assert "Report" not in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_audit_of_readable_images_ends_with_success(few: Path) -> None:
    result = train(few, "--audit-only")
    assert result.exit_code == 0 and "fewer than 20 training images" in result.stdout


def test_audit_as_json_is_one_object_that_equals_the_file_it_writes(faulty: Path, tmp_path: Path) -> None:
    result = train(faulty, "--audit-only", "--json", "-o", tmp_path / "new" / "run")
    record = json.loads(result.stdout)
    assert result.exit_code == 1 and record["images"] == 20
    assert [file["path"] for file in record["unreadable"]] == ["red disc/broken.jpg"]
    run = tmp_path / "new" / "run"
    assert set(tree(run)) == {"audit.json", "report.html"}
    assert json.loads((run / "audit.json").read_text(encoding="utf-8")) == record
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "red disc/broken.jpg" in page and "blue 3/again.png" in page
    assert f"Report: {run / 'report.html'}" in result.stderr


def test_audit_loads_no_tensorflow(few: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from edge_classify.train.cli import main; "
        "main(sys.argv[1:], standalone_mode=False); "
        "sys.exit(str({'tensorflow', 'keras', 'ai_edge_litert'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(few), "--audit-only", "-o", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr.endswith("set()\n"), done.stderr
    assert (tmp_path / "run" / "audit.json").is_file()


def test_training_with_force_goes_into_the_folder_of_an_audit(few: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(few, "--audit-only", "-o", run).exit_code == 0
    (run / "notes.txt").write_text("mine")
    refused = train(few, "-o", run, *CNN)
    assert refused.exit_code == 1 and "--force" in refused.output
    assert train(few, "-o", run, *CNN, "--force").exit_code == 0
    assert set(tree(run)) == {*RUN_FILES, *(f"cnn/{name}" for name in MODEL_FILES), "notes.txt"}
    assert Split.read(run).labels


def test_audit_of_a_run_with_force_leaves_its_models(few: Path, small_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(small_run, tmp_path / "run")
    assert train(few, "--audit-only", "-o", run).exit_code == 1
    assert tree(run) == tree(small_run)
    assert train(few, "--audit-only", "-o", run, "--force").exit_code == 0
    assert {name for name, data in tree(run).items() if tree(small_run).get(name) != data} <= {
        "audit.json",
        "report.html",
    }


def test_audit_of_unusable_data_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "data" / "empty").mkdir(parents=True)
    result = train(tmp_path / "data", "--audit-only", "-o", tmp_path / "new" / "run")
    assert result.exit_code == 1 and result.output.splitlines()[-1].startswith("Error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_audit_names_the_options_that_only_a_training_uses(few: Path) -> None:
    result = train(few, "--audit-only", "--tune", "5", "--epochs", "3,3", "--duplicates", "exact")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[0] == "--epochs and --tune have no effect with --audit-only"
    assert "no effect" not in train(few, "--audit-only", "--duplicates", "exact").output


def test_force_without_a_folder_to_replace_is_a_usage_error(few: Path) -> None:
    result = train(few, "--audit-only", "--force")
    assert result.exit_code == 2 and "--force goes with --output" in result.stderr
