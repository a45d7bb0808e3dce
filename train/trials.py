"""The trials of a hyperparameter search, and the file that keeps them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..edge.errors import OptionError
from ..edge.inner_files import read_unlinked

COMPLETE, PRUNED, DIVERGED = STATES = ("complete", "pruned", "diverged")
_MOST_BYTES = 64 * 2**20
_TRIAL, _STATE, _LOSS, _LOSSES = "trial", "state", "loss", "losses"


@dataclass(frozen=True)
class Trial:
    """One set of values, how its training ended, and the validation loss after each epoch."""

    values: Mapping[str, float | int]
    state: str
    losses: tuple[float, ...]

    @property
    def loss(self) -> float:
        """The loss at the best epoch; infinite when the training diverged."""
        return min((loss for loss in self.losses if not math.isnan(loss)), default=math.inf)


def best_trial(trials: Sequence[Trial]) -> int | None:
    """Return the index of the complete trial with the lowest loss, the first of equals; None without any."""
    complete = [number for number, trial in enumerate(trials) if trial.state == COMPLETE]
    return min(complete, key=lambda number: trials[number].loss, default=None)


def to_csv(trials: Sequence[Trial]) -> str:
    """Return a row a trial: number (from 1), state, loss, values, and the losses with spaces between."""
    text = io.StringIO()
    values = list(trials[0].values) if trials else []
    writer = csv.DictWriter(text, [_TRIAL, _STATE, _LOSS, *values, _LOSSES], lineterminator="\n")
    writer.writeheader()
    for number, trial in enumerate(trials, 1):
        facts: dict[str, Any] = {_TRIAL: number, _STATE: trial.state, _LOSS: trial.loss}
        writer.writerow({**facts, **trial.values, _LOSSES: " ".join(map(repr, trial.losses))})
    return text.getvalue()


def read_trials(path: Path) -> list[Trial]:
    """Return the trials that to_csv wrote into `path`; none if there is no such file.

    Raises OptionError when it cannot be read.
    """
    try:
        text = read_unlinked(path, _MOST_BYTES).decode("utf-8")
        rows = csv.DictReader(io.StringIO(text, newline=""))
        if not {_TRIAL, _STATE, _LOSS, _LOSSES} <= set(rows.fieldnames or ()):
            raise ValueError("its first line is not the header of a file of trials")
        return [_trial(row) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise OptionError(f"{path} cannot be used ({error}). Start again with --force") from None


def describe_values(values: Mapping[str, float | int]) -> str:
    """Return the values as text for people: "learning rate 0.00312, batch size 32"."""
    return ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in values.items())


def describe_best(model: str, path: Path) -> str:
    """Return one sentence for the report on the trials in `path`. Raises OptionError as read_trials does."""
    trials = read_trials(path)
    best = best_trial(trials)
    if best is None:
        raise OptionError(f"{path} cannot be used (no trial is complete). Start again with --force")
    first = trials[0].loss
    return (
        f"Search for {model}: trial {best + 1} of {len(trials)} was best on the validation images, with loss "
        f"{trials[best].loss:.3f} against {first:.3f} of the defaults: {describe_values(trials[best].values)}"
    )


def _trial(row: dict[str, str]) -> Trial:
    fixed = (_TRIAL, _STATE, _LOSS, _LOSSES)
    if row[_STATE] not in STATES:
        raise ValueError(f"unknown state {row[_STATE]!r}")
    values = {name: _number(text) for name, text in row.items() if name not in fixed}
    return Trial(values, row[_STATE], tuple(float(text) for text in row[_LOSSES].split()))


def _number(text: str) -> float | int:
    return int(text) if text.isdecimal() else float(text)
