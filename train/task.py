"""The training of one model: what is trained, on which images, how, and where files are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from .cache import Cache
from .checkpoint import EpochRow
from .dataset import Examples
from .hyperparameters import Hyperparameters
from .models import Built
from .teaching import TaughtImages


@dataclass(frozen=True)
class Task:
    """The training of one model: the model, its images, how it is trained, and where files are kept.

    `on_epoch` makes the training a trial: it gets the row of each epoch, instead of the user, and returns
    whether to stop; Ctrl-C then raises KeyboardInterrupt. `note` follows the name of the model in messages.
    `pool` are images, these among them, whose activations are computed together for several trainings.
    `taught` are the images and what a teacher answers to them; None without a teacher.
    """

    built: Built
    train: Examples
    validation: Examples
    classes: int
    hyperparameters: Hyperparameters
    seed: int
    cache: Cache
    checkpoint: Path
    on_epoch: Callable[[EpochRow], bool] | None = None
    note: str = ""
    pool: Examples | None = None
    taught: TaughtImages | None = None

    def learning_from(self, taught: TaughtImages) -> Task:
        """Return the same training on the images of a teacher, with its answers."""
        return replace(self, train=taught.train, validation=taught.validation, pool=None, taught=taught)

    @property
    def name(self) -> str:
        """The name of the model in messages."""
        return f"{self.built.model.name}{self.note}"
