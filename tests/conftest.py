"""Data, models and commands that the tests share. All of it is made here; nothing is downloaded."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from .support.commands import run_command
from .support.pictures import write_shapes
from .support.shared import SharedFolders, common_folder

# A shell that starts the tests in the background makes them and their children ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A busy machine is no reason to fail.
settings.register_profile("calm", deadline=None)
settings.load_profile("calm")


TRAIN_OPTIONS = (
    "--epochs", "40,4", "--alpha", "0.35", "--weights", "none", "--image-size", "32", "--batch-size", "16",
    "--folds", "0",
)  # fmt: skip
FOREIGN_MODELS = ("float32", "uint8", "int8", "logits")
# Fixtures that take longest to make.
_SLOW_FIXTURES = {"run", "converted"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --until, for runs that have a certain time."""
    parser.addoption(
        "--until", type=float, metavar="SECONDS",
        help="skip tests that would start later than this, in seconds since 1970, and draw the files' order",
    )  # fmt: skip


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test for which no time is left."""
    until = item.config.getoption("until")
    if until is not None and time.time() > until:
        pytest.skip("the time of this run is over (--until)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Draw the order of files, and in each of tests, for --until: not always the same ones are skipped.

    Where several processes share the tests, give the first one the modules that need a trained model.
    Otherwise each process would soon come to a test that needs it, and wait until it is trained.
    """
    if (until := config.getoption("until")) is not None:
        draw = random.Random(until)  # The same in every process.
        draw.shuffle(items)
        place = {path: draw.random() for path in dict.fromkeys(item.path for item in items)}
        items.sort(key=lambda item: place[item.path])
    if hasattr(config, "workerinput"):
        early = {item.path for item in items if _SLOW_FIXTURES & set(getattr(item, "fixturenames", ()))}
        items.sort(key=lambda item: item.path not in early)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the tests out of the user's cache; commands inherit the variable."""
    os.environ["EDGE_CLASSIFY_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedFolders]:
    """Folders that are made once for all tests. A test that changes one of them makes the session fail."""
    folders = SharedFolders(common_folder(tmp_path_factory.getbasetemp()) / "shared")
    yield folders
    assert folders.changes() == [], "a test changed what others read: it has to work on a copy"


@pytest.fixture(scope="session")
def shapes(shared: SharedFolders) -> Path:
    """Thirty images of each of three classes."""
    return shared.folder("shapes", lambda folder: write_shapes(folder, 30))


@pytest.fixture(scope="session")
def few(shared: SharedFolders) -> Path:
    """Six images of each class: enough to train on, and quick."""
    return shared.folder("few", lambda folder: write_shapes(folder, 6))


@pytest.fixture(scope="session")
def run(shapes: Path, shared: SharedFolders) -> Path:
    """A run of edge-train with both models."""

    def train(output: Path) -> None:
        result = run_command("edge-train", shapes, "--output", output, *TRAIN_OPTIONS)
        assert result.returncode == 0, result.stderr

    return shared.folder("run", train)


@pytest.fixture(scope="session")
def small_run(few: Path, shared: SharedFolders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch of the CNN on `few`."""
    from .support.training import CNN, start

    def train(output: Path) -> None:
        log = tmp_path_factory.mktemp("small") / "log"
        status, text = start(log, few, "-o", output, *CNN).wait()
        assert status == 0, text

    return shared.folder("small_run", train)


@pytest.fixture(scope="session")
def converted(run: Path, shared: SharedFolders) -> Path:
    """The folder of the eight .tflite files made from `run`."""

    def convert(output: Path) -> None:
        # How much so small a model loses in int8 is chance, and differs between processors.
        result = run_command("edge-convert", run, "--output", output, "--max-drop", "100")
        assert result.returncode == 0, result.stderr

    return shared.folder("converted", convert)


@pytest.fixture(scope="session")
def foreign_models(shared: SharedFolders) -> dict[str, Path]:
    """Models without a card, as other people make them: the class is the strongest of the three colours.

    Input is -1..1; "float32", "uint8" and "int8" name the dtype of input and output, "logits" has no
    softmax.
    """

    def write(folder: Path) -> None:
        from .support.foreign import save_colour_models

        save_colour_models(folder, FOREIGN_MODELS)

    folder = shared.folder("foreign", write)
    return {name: folder / f"{name}.tflite" for name in FOREIGN_MODELS}


@pytest.fixture(scope="session")
def finished_files(shared: SharedFolders) -> dict[str, Path]:
    """Files of every kind that edge-classify runs, which name no labels: see support/finished_files.py."""

    def write(folder: Path) -> None:
        from .support.finished_files import write_finished_files

        write_finished_files(folder)

    folder = shared.folder("finished", write)
    return {path.stem: path for path in folder.glob("*.tflite")}


@pytest.fixture
def json_lines() -> Callable[[str], list[dict[str, Any]]]:
    """Return a function that parses the lines of --json."""
    return lambda text: [json.loads(line) for line in text.splitlines()]
