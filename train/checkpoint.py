"""The history of a training, and its state between two epochs, from which it can go on."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge.console import say
from ..edge.files import write_atomically

COLUMNS = ("phase", "epoch", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy")


@dataclass
class History:
    """One row an epoch, with COLUMNS; `interrupted` when Ctrl-C ended the training."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    trainable_parameters: list[int] = field(default_factory=list)
    interrupted: bool = False

    def to_csv(self) -> str:
        """Return history.csv's text."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()

    @property
    def best(self) -> dict[str, Any]:
        """The epoch whose weights were kept: the lowest validation loss, if one is a number."""
        return min(self.rows, key=lambda row: (math.isnan(row["val_loss"]), row["val_loss"]))


_SECONDS_BETWEEN_WRITES = 10.0
_GROUPS = ("last", "best", "optimizer")
_DIGEST = hashlib.sha256().digest_size

Arrays = list[NDArray[Any]]


@dataclass
class State:
    """What the epochs so far have led to.

    `last` are all weights of the network that is fitted in this phase, after the last whole epoch, `best`
    those after the best epoch, `optimizer` the optimizer's variables. `rows` are the history's.
    """

    phase: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    trainable_parameters: list[int] = field(default_factory=list)
    seconds: float = 0.0
    best_loss: float = float("inf")
    last: Arrays = field(default_factory=list)
    best: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)

    def epochs(self, phase: int) -> int:
        """Return how many epochs of that phase are done."""
        return sum(row["phase"] == phase for row in self.rows)

    def to_bytes(self) -> bytes:
        """Return a .npz file and its SHA-256 behind it."""
        facts = {key: value for key, value in self.__dict__.items() if key not in _GROUPS}
        arrays = {f"{group}_{i:04d}": a for group in _GROUPS for i, a in enumerate(getattr(self, group))}
        buffer = io.BytesIO()
        np.savez(buffer, facts=np.array(json.dumps(facts)), **arrays)
        return buffer.getvalue() + hashlib.sha256(buffer.getbuffer()).digest()

    @classmethod
    def from_file(cls, path: Path) -> State | None:
        """Return the state that was saved, or None when there is none, or a damaged one, which is said."""
        if not path.exists():
            return None
        try:
            return cls._from_bytes(path.read_bytes())
        except (OSError, ValueError, KeyError, TypeError) as error:
            say(f"{path} is damaged ({error}): the training of this model begins anew")
            return None

    @classmethod
    def _from_bytes(cls, content: bytes) -> State:
        # zipfile raises errors of many kinds for a damaged file, and overlooks some damage.
        whole, digest = content[:-_DIGEST], content[-_DIGEST:]
        if hashlib.sha256(whole).digest() != digest:
            raise ValueError("its checksum is wrong")
        with np.load(io.BytesIO(whole), allow_pickle=False) as file:
            state = cls(**json.loads(str(file["facts"])))
            for group in _GROUPS:
                names = sorted(name for name in file.files if name.startswith(f"{group}_"))
                setattr(state, group, [file[name] for name in names])
        return state


class Checkpoint:
    """Keeps a State on disk: written whole under a temporary name, and not more often than pays."""

    def __init__(self, path: Path) -> None:
        """Take the file's path."""
        self._path = path
        self._pause, self._written = _SECONDS_BETWEEN_WRITES, 0.0

    def load(self) -> State:
        """Return what was saved, or a new state."""
        return State.from_file(self._path) or State()

    def save(self, state: State, at_once: bool = False) -> None:
        """Write the state; without `at_once` only some time after the last write."""
        began = time.monotonic()
        if at_once or began - self._written > self._pause:
            write_atomically(self._path, state.to_bytes())
            self._written = time.monotonic()
            # Large states on slow disks: at most a tenth of the time goes into writing.
            self._pause = max(_SECONDS_BETWEEN_WRITES, 10 * (self._written - began))
