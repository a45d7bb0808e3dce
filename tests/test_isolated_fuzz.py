"""The bar that damages model files, in short: each ends in an answer or in one of our errors."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from edge_classify.edge.default_model import DEFAULT_MODEL
from edge_classify.edge.modelfile import ModelFile

from .support.tiny_model import classifier, write_sealed

SCRIPT = Path(__file__).parent.parent / "studies" / "fuzz_models.py"


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    """The script as a module: studies are not installed."""
    spec = importlib.util.spec_from_file_location("fuzz_models", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_damaged_models_are_answered_or_refused_and_counted(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.tflite"
    foreign.write_bytes(classifier())
    command = [sys.executable, str(SCRIPT), "--count", "20", "--seed", "7", str(DEFAULT_MODEL), str(foreign)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    counts = {line[6:].strip(): int(line[:6]) for line in done.stdout.splitlines()}
    assert sum(counts.values()) == 20
    assert "fault of the runner" not in counts
    assert len(counts) > 1


def test_damage_with_a_new_checksum_gets_past_the_card(fuzz: ModuleType, tmp_path: Path) -> None:
    raw = bytearray(write_sealed(tmp_path / "m.tflite").read_bytes())
    raw[ModelFile.read(tmp_path / "m.tflite").zip_offset - 1] ^= 1
    path = tmp_path / "damaged.tflite"
    path.write_bytes(raw)
    assert fuzz.run_one(path)[0] == "refused by the runner"
    path.write_bytes(fuzz.with_true_checksum(bytes(raw)))
    assert fuzz.run_one(path)[0] != "refused by the runner"


def test_error_that_is_not_ours_is_a_fault(
    fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_sealed(tmp_path / "m.tflite")
    assert fuzz.run_one(path)[0] == "answer"

    def fail(path: Path) -> ModelFile:
        raise KeyError("oops")

    monkeypatch.setattr(ModelFile, "read", fail)
    assert fuzz.run_one(path) == (fuzz.FAULT, "KeyError: 'oops'")
