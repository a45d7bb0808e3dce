"""tflite-runtime 2.14, the newest for 32-bit Pis, runs the files of --compatible with the right answers."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from edge_classify.convert.recipes import find_recipe
from edge_classify.convert.tflite.compatibility import find_older_runtime, unsupported
from edge_classify.edge.classifier import Classifier
from numpy.typing import NDArray

from ..support.tiny_tflite import model_with
from .conftest import Expected, Pictures, convert, expect
from .environments import HERE, ROOT, call

pytestmark = [pytest.mark.clients, pytest.mark.usefixtures("old_python")]
OLD = find_older_runtime("tflite-runtime-2.14")
NEWEST = 16  # More versions than any operation has.


@pytest.fixture(scope="module")
def compatible(model_folders: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return convert(model_folders, tmp_path_factory.mktemp("compatible"), ["--compatible", OLD.name])


@pytest.fixture(scope="module")
def runner(old_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the project as pip installs it, for the old runtime's environment."""
    site = tmp_path_factory.mktemp("site")
    call(
        "edge-classify", [old_python, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, ROOT]
    )
    return site


def run_old(python: Path, models: list[Path], pixels: NDArray[np.uint8], folder: Path) -> dict[str, Any]:
    """Return the old runtime's scores [picture, label] by file, or the text of its refusal."""
    np.save(folder / "pixels.npy", pixels)
    work = {"models": [str(path) for path in models], "pixels": str(folder / "pixels.npy")}
    done = subprocess.run(
        [python, HERE / "tflite_runtime_client.py"],
        input=json.dumps(work), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def without_delegates(model: Path, pictures: Pictures) -> Expected:
    """Return what LiteRT gives with its own kernels, which the old runtime also uses for 8-bit layers.

    XNNPACK, which LiteRT and edge-classify use by default, rounds otherwise, and in a deep int8 network
    that moves probabilities as far as quantization itself does.
    """
    labels = Classifier.from_file(model).labels
    interpreter = Interpreter(
        model_path=str(model), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    interpreter.allocate_tensors()
    given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero_point = result["quantization"]
    answers = []
    for pixels in pictures.pixels:
        interpreter.set_tensor(given["index"], pixels[None].astype(given["dtype"]))
        interpreter.invoke()
        stored = interpreter.get_tensor(result["index"])[0].astype(np.float32)
        answers.append((stored - zero_point) * (scale or 1))
    return Expected(labels, np.stack(answers))


def variant_of(model: Path) -> str:
    return model.stem.rsplit("_", 1)[1]


def test_table_of_versions_is_what_the_runtime_itself_accepts(old_python: Path, tmp_path: Path) -> None:
    asked = {}
    for name, code in vars(schema.BuiltinOperator).items():
        for version in (
            range(1, NEWEST) if isinstance(code, int) and code != schema.BuiltinOperator.CUSTOM else ()
        ):
            path = tmp_path / f"{name}.{version}"
            path.write_bytes(model_with(code, version))
            asked[path] = unsupported(path.read_bytes(), OLD) == []
    answers = run_old(old_python, list(asked), np.empty((0, 8, 8, 3), np.uint8), tmp_path)
    accepted = {path for path in asked if answers[str(path)] == []}
    never = {path for path in asked if path.stem == "BROADCAST_TO" and path.suffix == ".1"}  # It begins at 2.
    assert accepted == {path for path, known in asked.items() if known} - never


def test_every_compatible_file_gives_the_right_answers(
    old_python: Path, compatible: list[Path], sized: Pictures, tmp_path: Path, record_property: Any
) -> None:
    assert {variant_of(model) for model in compatible} >= {"float32", "float16", "dynamic", "int8"}
    answers = run_old(old_python, compatible, sized.pixels, tmp_path)
    for model in compatible:
        assert isinstance(answers[str(model)], list), answers[str(model)]
        theirs, ours = np.array(answers[str(model)]), without_delegates(model, sized)
        difference = np.abs(theirs - ours.probabilities).max()
        assert difference <= find_recipe(variant_of(model)).tolerance, model.name
        names = [ours.labels[index] for index in theirs.argmax(axis=1)]
        assert ours.agreement(names) == 1, model.name
        usual = expect(model, sized).agreement(names)
        record_property(f"tflite-runtime 2.14 against XNNPACK on hard pictures, {model.name}", f"{usual:.0%}")


def test_runtime_refuses_exactly_the_files_that_are_called_unsupported(
    old_python: Path, models: list[Path], sized: Pictures, tmp_path: Path
) -> None:
    answers = run_old(old_python, models, sized.pixels[:1], tmp_path)
    refused = {model.name for model in models if isinstance(answers[str(model)], str)}
    assert refused == {model.name for model in models if unsupported(model.read_bytes(), OLD)}
    assert {variant_of(model) for model in models if model.name in refused} == {"dynamic"}


def test_runner_gives_the_answers_that_it_gives_here(
    old_python: Path, runner: Path, compatible: list[Path], raw: Pictures, record_property: Any
) -> None:
    options = [part for model in compatible for part in ("--model", str(model))]
    done = subprocess.run(
        [runner / "bin" / "edge-classify", *options, "--json", *raw.paths],
        env={**os.environ, "PYTHONPATH": str(runner)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for model in compatible:
        names = [line["predictions"][0]["label"] for line in lines if line["model"] == model.stem]
        assert len(names) == len(raw.paths)
        agreement = expect(model, raw).agreement(names)
        record_property(f"edge-classify on tflite-runtime 2.14 agrees, {model.name}", f"{agreement:.0%}")
        # Not all: versions of Pillow resize to pixels that differ by 1 of 255, and int8 rounds otherwise.
        assert agreement >= 0.95, model.name
