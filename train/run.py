"""One run of edge-train: data set in, run folder out. Imported only after TensorFlow was loaded."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import tensorflow as tf

from ..benchmarks.split import Split
from ..edge.console import say
from ..edge.errors import OptionError
from ..edge.files import write_atomically
from .datasets import BUILT_IN
from .one_model import library_versions, train_model, unfinished_folder
from .options import TrainOptions
from .output import REPORT, check_output, require_apart, staging
from .prepare import PreparedData, prepare
from .report import ModelReport, render_report


class Ending(Enum):
    """How a run came to its end."""

    COMPLETE = "complete"
    INTERRUPTED = "interrupted by Ctrl-C"
    FAILED = "a model could not be trained"


@dataclass(frozen=True)
class RunResult:
    """What was trained, and how it ended."""

    split: Split
    models: list[ModelReport]
    ending: Ending


def train(data: str, output: Path, options: TrainOptions, force: bool, command: str) -> RunResult:
    """Train every model of `options` on `data`, a folder or the name of a built-in set.

    Everything is made in a temporary folder beside `output` and moved there at the end. Raises
    DatasetError, WeightsError, OptionError and OutputExistsError, leaving nothing behind.
    """
    check_output(output, force)
    if data not in BUILT_IN:
        require_apart(Path(data), output)
    tf.config.experimental.enable_op_determinism()
    with staging(output) as folder, tempfile.TemporaryDirectory(dir=folder, prefix="pixels-") as scratch:
        prepared, options = prepare(data, folder, Path(scratch), options)
        reports, ending = _train_models(prepared, folder, options)
        prepared.split.write(folder)
        facts = {"Command": command, "Seed": options.seed, **library_versions()}
        page = render_report(prepared.name, prepared.split, reports, facts)
        # A path in the command may hold bytes that are no text.
        write_atomically(folder / REPORT, page.encode("utf-8", "backslashreplace"))
    return RunResult(prepared.split, reports, ending)


def _train_models(
    data: PreparedData, staging: Path, options: TrainOptions
) -> tuple[list[ModelReport], Ending]:
    """Train one model after the other; what goes wrong with a later one doesn't cost the earlier ones."""
    reports: list[ModelReport] = []
    for name in options.models:
        try:
            reports.append(train_model(name, data, staging, options))
        except (KeyboardInterrupt, OptionError) as error:
            if not reports:
                raise
            shutil.rmtree(unfinished_folder(staging, name), ignore_errors=True)
            if isinstance(error, OptionError):
                say(f"{error}. Keeping the model before it")
                return reports, Ending.FAILED
            say(f"Interrupted before {name} was done: keeping the model before it")
            return reports, Ending.INTERRUPTED
        if reports[-1].interrupted:
            return reports, Ending.INTERRUPTED
    return reports, Ending.COMPLETE
