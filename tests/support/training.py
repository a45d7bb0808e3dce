"""edge-train in child processes that start at once, and can be stopped at a chosen line of output.

They are forked from a server that has loaded TensorFlow.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import keras
import numpy as np
from click.testing import CliRunner, Result
from edge_classify.convert.quiet import import_tensorflow
from edge_classify.train.cli import main

import_tensorflow("Training", "train")  # Sets the level of its log.
import edge_classify.train.run  # noqa: E402, F401  # Loaded before the fork.

MODEL_FILES = {"model.keras", "card.json", "history.csv", "metrics.json", "curves.png", "confusion.png"}
RUN_FILES = {"split.json", "report.html", "audit.json"}
CNN = ("--model", "cnn", "--image-size", "32", "--epochs", "1,0", "--folds", "0")
_TIMEOUT = 900

_forked = multiprocessing.get_context("forkserver")
_forked.set_forkserver_preload(["tests.support.training"])


def train(*args: object) -> Result:
    """Run edge-train in this process. It must end without a traceback, whatever its arguments are."""
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


@dataclass
class Training:
    """edge-train in a child process."""

    process: BaseProcess
    log: Path

    def wait(self) -> tuple[int, str]:
        """Return the exit status, negative for a signal, and what was printed to stdout and stderr."""
        self.process.join(_TIMEOUT)
        assert self.process.exitcode is not None
        text = self.log.read_text(encoding="utf-8")
        assert "Traceback" not in text, text
        return self.process.exitcode, text

    def wait_for(self, line: str) -> None:
        """Wait until a line that contains this was printed."""
        end = time.monotonic() + _TIMEOUT
        while line not in self.log.read_text(encoding="utf-8"):
            assert self.process.is_alive() and time.monotonic() < end, self.log.read_text(encoding="utf-8")
            time.sleep(0.02)

    def send(self, number: int) -> None:
        """Send a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)


def start(log: Path, *args: object, at: str = "", send: int = 0) -> Training:
    """Start edge-train, whose output goes to the file `log`.

    It gets the signal `send` as soon as it has printed a line that contains `at`.
    """
    process = _forked.Process(target=_edge_train, args=([str(arg) for arg in args], log, at, send))
    log.touch()
    process.start()
    return Training(process, log)


def _edge_train(args: list[str], log: Path, at: str, send: int) -> None:
    # The process that runs the tests may ignore Ctrl-C, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", 1), _Signalling(at, send)
    sys.argv = ["edge-train", *args]
    main(args)


class _Signalling(io.TextIOBase):
    """stderr that sends this process a signal after a certain line, once."""

    def __init__(self, at: str, number: int) -> None:
        self._at, self._number = at, number

    def write(self, text: str) -> int:
        os.write(2, text.encode())
        if self._number and self._at in text:
            number, self._number = self._number, 0
            os.kill(os.getpid(), number)
        return len(text)


def tree(root: Path) -> dict[str, bytes]:
    """Return the contents of all files below `root`."""
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def metrics(run: Path, model: str) -> dict[str, Any]:
    """Return a model's metrics.json, without the time that it took."""
    values: dict[str, Any] = json.loads((run / model / "metrics.json").read_text())
    return {key: value for key, value in values.items() if key != "seconds"}


def assert_same_runs(one: Path, other: Path, models: tuple[str, ...]) -> None:
    """Compare everything in two runs, apart from the times that they took."""
    assert set(tree(one)) == set(tree(other))
    assert (one / "split.json").read_bytes() == (other / "split.json").read_bytes()
    for model in models:
        for name in ("card.json", "history.csv", "curves.png", "confusion.png"):
            assert (one / model / name).read_bytes() == (other / model / name).read_bytes(), (model, name)
        assert metrics(one, model) == metrics(other, model)
        load: Callable[[Path], Any] = keras.models.load_model
        weights = [load(run / model / "model.keras").get_weights() for run in (one, other)]
        assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True)), model
