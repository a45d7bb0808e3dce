"""Imports only go down (train, convert, benchmarks, edge), and the runner loads nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("train", "convert", "benchmarks", "edge")
HEAVY = ("tensorflow", "keras", "cv2", "matplotlib", "sklearn", "jinja2", "h5py")


def _modules(layer: str) -> list[Path]:
    """Return the modules of a package."""
    return list((ROOT / layer).glob("**/*.py"))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (dots, module) of every import in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""
        elif isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)


def _target(path: Path, dots: int, module: str) -> Path:
    """Return what a relative import names, relative to the root; more dots than folders are an IndexError."""
    folders = list(path.relative_to(ROOT).parent.parts)
    for _ in range(dots - 1):
        folders.pop()
    return Path(*folders, *module.split("."))


@pytest.mark.parametrize("layer", LAYERS)
def test_layer_imports_only_layers_below_it(layer: str) -> None:
    allowed = LAYERS[LAYERS.index(layer) :]
    found = [
        (path.name, module)
        for path in _modules(layer)
        for dots, module in _imports(path)
        if (dots and _target(path, dots, module).parts[0] not in allowed)
        or module.startswith("edge_classify")
    ]
    assert not found


def test_layers_use_relative_imports_that_exist() -> None:
    for layer in LAYERS:
        for path in _modules(layer):
            for dots, module in _imports(path):
                if dots:
                    target = ROOT / _target(path, dots, module)
                    assert target.with_suffix(".py").is_file() or target.is_dir(), (path, module)


def test_interpreter_is_imported_in_one_module_only() -> None:
    importers = {
        path.relative_to(ROOT).as_posix()
        for layer in LAYERS
        for path in _modules(layer)
        if "Interpreter" in path.read_text(encoding="utf-8")
    }
    assert importers == {"edge/runtime.py"}


@pytest.mark.parametrize(
    "module", ["edge", "edge.cli", "benchmarks.cli", "benchmarks.measuring.turns", "benchmarks.predict"]
)
def test_importing_the_runner_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, edge_classify.{module}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


@pytest.mark.parametrize("command", ["train", "convert"])
def test_help_of_the_training_commands_loads_no_tensorflow(command: str) -> None:
    code = (
        f"import sys\nfrom edge_classify.{command}.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
