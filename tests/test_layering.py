"""Imports go down and never in a circle, the runner loads nothing heavy, and a class name has one meaning."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass

import pytest

from .support.source_tree import ROOT, circles, imports_among, read_modules

HEAVY = ("tensorflow", "keras", "cv2", "matplotlib", "sklearn", "jinja2", "h5py")


@dataclass(frozen=True)
class Room:
    """What the modules of a folder may import: other folders, some of them only inside functions."""

    imports: tuple[str, ...]
    inside_functions: tuple[str, ...] = ()


# A module belongs to the room with the longest name that fits. Rooms without a folder are to be built.
ROOMS = {
    "train": Room(("train", "convert", "benchmarks", "edge")),
    "convert": Room(("convert", "convert.apps", "benchmarks", "edge")),
    "convert.apps": Room(("convert.apps", "convert.tflite", "edge")),
    "fleet": Room(("fleet", "benchmarks", "edge")),
    "benchmarks": Room(("benchmarks", "benchmarks.devices.far", "edge")),
    # Is sent to devices as source, where nothing else of this package is.
    "benchmarks.devices.far": Room(("benchmarks.devices.far",)),
    # A run that does not ask for the page, or to be taught, must not load them.
    "edge": Room(("edge",), inside_functions=("edge.page", "edge.teaching")),
    "edge.page": Room(("edge.page", "edge")),
    "edge.teaching": Room(("edge.teaching", "edge")),
}
BUILT = [room for room in ROOMS if ROOT.joinpath(*room.split(".")).is_dir()]
PACKAGES = [room for room in BUILT if "." not in room]
MODULES = read_modules(*PACKAGES)
IMPORTS = imports_among(MODULES)
# Public names that several classes of the packages may have, each with the reason.
TWO_MEANINGS: dict[str, str] = {}


def belongs_to(module: str, folder: str) -> bool:
    return f"{module}.".startswith(f"{folder}.")


def room_of(module: str) -> str:
    return max((room for room in ROOMS if belongs_to(module, room)), key=len)


def is_allowed(target: str, folders: tuple[str, ...]) -> bool:
    """Return whether the module lies in one of the folders, and in no room of its own below it."""
    return any(belongs_to(target, folder) and len(room_of(target)) <= len(folder) for folder in folders)


@pytest.mark.parametrize("room", BUILT)
def test_modules_of_a_room_import_only_what_it_may(room: str) -> None:
    allowed = ROOMS[room]
    found = [
        f"{MODULES[name].shown}:{each.line} imports {each.target}"
        for name in MODULES
        if room_of(name) == room
        for each in IMPORTS[name]
        if not is_allowed(each.target, allowed.imports)
        and not (each.in_function and is_allowed(each.target, allowed.inside_functions))
    ]
    assert not found, "\n".join([f"{room} may import {allowed}:", *found])


def test_no_import_closes_a_circle_not_even_for_types_or_inside_a_function() -> None:
    shown = []
    for circle in circles(IMPORTS):
        for name, target in zip(circle, [*circle[1:], circle[0]], strict=True):
            line = next(each.line for each in IMPORTS[name] if each.target == target)
            shown.append(f"{MODULES[name].shown}:{line} imports {target}")
        shown.append("")
    assert not shown, "\n".join(["these modules import each other:", *shown])


def test_packages_use_relative_imports_of_modules_that_exist() -> None:
    found = []
    for module in MODULES.values():
        for statement in module.statements():
            inner = statement.module.split(".")[0] in PACKAGES
            exists = statement.module in MODULES or all(
                f"{statement.module}.{name}" in MODULES for name in statement.names
            )
            if statement.module.startswith("edge_classify") or inner != statement.relative or inner > exists:
                found.append(f"{module.shown}:{statement.line} imports {statement.module}")
    assert not found, "\n".join(found)


def test_class_name_has_one_meaning_in_all_packages() -> None:
    places = defaultdict(list)
    for module in MODULES.values():
        for name in module.classes():
            if not name.startswith("_"):
                places[name].append(module.shown)
    several = {name: where for name, where in places.items() if len(where) > 1}
    found = [f"{name}: {', '.join(where)}" for name, where in several.items() if name not in TWO_MEANINGS]
    assert not found, "\n".join(["these names have several classes:", *sorted(found)])
    assert not TWO_MEANINGS.keys() - several.keys(), "exceptions that nothing needs any more"


def test_interpreter_is_imported_in_one_module_only() -> None:
    importers = {
        module.shown
        for module in MODULES.values()
        if "Interpreter" in module.path.read_text(encoding="utf-8")
    }
    assert importers == {"edge/runtime.py"}


@pytest.mark.parametrize(
    "module",
    ["edge", "edge.cli", "benchmarks.cli", "benchmarks.measuring.turns", "benchmarks.scoring.predict"],
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


TESTS = read_modules("tests")


def test_tests_import_no_other_test_module() -> None:
    found = [
        f"{TESTS[name].shown}:{each.line} imports {each.target}"
        for name, imported in imports_among(TESTS).items()
        for each in imported
        if each.target.rpartition(".")[2].startswith("test_")
    ]
    assert not found, "\n".join(["what several tests need belongs into tests/support:", *found])


def test_tests_import_no_private_name_of_the_packages() -> None:
    found = [
        f"{module.shown}:{statement.line} imports {statement.module}.{name}"
        for module in TESTS.values()
        for statement in module.statements()
        for name in statement.names
        if name.startswith("_") and statement.module.split(".")[0] in PACKAGES
    ]
    assert not found, "\n".join(found)


def test_modules_that_tests_name_in_text_exist() -> None:
    """Children of tests import helpers by name, in the text of a program."""
    found = [
        f"{module.shown} names {name}"
        for module in TESTS.values()
        for name in re.findall(r"\btests(?:\.\w+)+", module.path.read_text(encoding="utf-8"))
        if name not in TESTS and name != "tests.yml"
    ]
    assert not found, "\n".join(found)
