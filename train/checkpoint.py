"""The history of a training, and its state between two epochs, from which it can continue."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from ..edge.console import say
from ..edge.errors import OptionError, error_text
from ..edge.files import write_atomically
from ..edge.inner_files import read_unlinked
from ..edge.json_files import JsonError, parse_json, structured
from .stored_arrays import ArrayFileError, read_stored, unpack_arrays

_SECONDS_BETWEEN_WRITES = 10.0
_GROUPS = ("last", "best", "optimizer", "before")
_DIGEST = hashlib.sha256().digest_size
_MOST_HISTORY = 64 * 2**20

Arrays = list[NDArray[Any]]


class EpochRow(TypedDict):
    """One epoch in the history: phase and epoch count from 1, and accuracies are fractions of 1."""

    phase: int
    epoch: int
    learning_rate: float
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float


COLUMNS = tuple(EpochRow.__annotations__)


@dataclass
class History:
    """One row an epoch; `trainable_parameters` has a number for each phase.

    `interrupted` says whether Ctrl-C ended the training, and `refitted` whether the model has learned from
    the validation images in the end. `before` are then its weights from before, as in State; they are None in
    a history that was read from a file.
    """

    rows: list[EpochRow] = field(default_factory=list)
    seconds: float = 0.0
    trainable_parameters: list[int] = field(default_factory=list)
    interrupted: bool = False
    refitted: bool = False
    before: Arrays | None = None

    def to_csv(self) -> str:
        """Return the text of history.csv."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()

    @property
    def best(self) -> EpochRow:
        """The epoch whose weights were kept: a refit's last, or that of the lowest validation loss."""
        if self.refitted:
            return self.rows[-1]
        return min(self.rows, key=lambda row: (math.isnan(row["val_loss"]), row["val_loss"]))


def read_history(path: Path) -> list[EpochRow]:
    """Return the rows of a history.csv file; raises OptionError where it cannot be read or has none."""
    try:
        text = read_unlinked(path, _MOST_HISTORY).decode("utf-8")
        rows = [_epoch(row) for row in csv.DictReader(io.StringIO(text, newline=""))]
        if not rows:
            raise ValueError("it has no rows")
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise OptionError(f"{path} cannot be used ({error_text(error)}). Start again with --force") from None
    return rows


def _epoch(row: Mapping[str, Any]) -> EpochRow:
    return EpochRow(
        phase=int(row["phase"]),
        epoch=int(row["epoch"]),
        learning_rate=float(row["learning_rate"]),
        loss=float(row["loss"]),
        accuracy=float(row["accuracy"]),
        val_loss=float(row["val_loss"]),
        val_accuracy=float(row["val_accuracy"]),
    )


@dataclass(frozen=True)
class _Facts:
    """What a checkpoint holds beside the arrays; see State."""

    phase: int
    rows: list[dict[str, float]]
    trainable_parameters: list[int]
    seconds: float
    best_loss: float
    refitted: bool


@dataclass
class State:
    """The result of the epochs so far.

    `last` holds all weights of the network of this phase after the last complete epoch, `best` those after
    the best epoch, and `optimizer` the variables of the optimizer. `rows` are those of the history.
    `before` holds the weights of the whole model, from the start of a refit on: those of the best epoch,
    which has not learned from the validation images. `refitted` says whether the refit has ended: `best` are
    then its weights.
    """

    phase: int = 0
    rows: list[EpochRow] = field(default_factory=list)
    trainable_parameters: list[int] = field(default_factory=list)
    seconds: float = 0.0
    best_loss: float = float("inf")
    refitted: bool = False
    last: Arrays = field(default_factory=list)
    best: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)
    before: Arrays = field(default_factory=list)

    def epochs(self, phase: int) -> int:
        """Return the number of finished epochs in a phase."""
        return sum(row["phase"] == phase for row in self.rows)

    def to_bytes(self) -> bytes:
        """Return the content of a .npz file, followed by its SHA-256."""
        facts = {key: value for key, value in self.__dict__.items() if key not in _GROUPS}
        arrays = {f"{group}_{i:04d}": a for group in _GROUPS for i, a in enumerate(getattr(self, group))}
        buffer = io.BytesIO()
        np.savez(buffer, facts=np.array(json.dumps(facts)), **arrays)
        return buffer.getvalue() + hashlib.sha256(buffer.getbuffer()).digest()

    @classmethod
    def from_file(cls, path: Path) -> State | None:
        """Return the saved state; None if there is none, or (with a message) a damaged one."""
        try:
            content = read_stored(path)
            return None if content is None else cls._from_bytes(content)
        except (ArrayFileError, JsonError) as error:
            say(f"{path} is damaged ({error}): the training of this model starts again from the beginning")
            return None

    @classmethod
    def _from_bytes(cls, content: bytes) -> State:
        # zipfile does not notice all damage.
        whole, digest = content[:-_DIGEST], content[-_DIGEST:]
        if hashlib.sha256(whole).digest() != digest:
            raise ArrayFileError("its checksum is wrong")
        arrays = unpack_arrays(whole)
        # A training that diverges has a loss of NaN.
        facts = structured(_Facts, parse_json(str(arrays.get("facts", "")), finite=False), exact=True)
        if any(set(row) != set(COLUMNS) for row in facts.rows):
            raise JsonError("rows has others than the columns of the history")
        groups = {
            group: [arrays[name] for name in sorted(arrays) if name.startswith(f"{group}_")]
            for group in _GROUPS
        }
        return cls(**{**vars(facts), "rows": [_epoch(row) for row in facts.rows], **groups})


class Checkpoint:
    """Keeps a State on disk, in a file that is always complete, and limits the time spent on writing."""

    def __init__(self, path: Path) -> None:
        """Take the path of the file."""
        self._path = path
        self._pause, self._written = _SECONDS_BETWEEN_WRITES, 0.0

    def load(self) -> State:
        """Return the saved state, or a new one."""
        return State.from_file(self._path) or State()

    def save(self, state: State, at_once: bool = False) -> None:
        """Write the state, but without `at_once` only some time after the last write."""
        began = time.monotonic()
        if at_once or began - self._written > self._pause:
            write_atomically(self._path, state.to_bytes())
            self._written = time.monotonic()
            # Large states on slow disks: writing takes at most a tenth of the time.
            self._pause = max(_SECONDS_BETWEEN_WRITES, 10 * (self._written - began))
