"""What is to be fitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .cache import Cache
from .examples import Examples
from .models import Built
from .recipe import Recipe


@dataclass(frozen=True)
class Task:
    """One model's training: what to fit, on what, how, and where the checkpoint and activations are kept.

    `on_epoch` makes it a trial: it takes each epoch's row of the history, instead of a line for the user, and
    returns whether to stop; Ctrl-C is raised then. `note` follows the model's name where people read it.
    """

    built: Built
    train: Examples
    validation: Examples
    classes: int
    recipe: Recipe
    seed: int
    cache: Cache
    checkpoint: Path
    on_epoch: Callable[[dict[str, Any]], bool] | None = None
    note: str = ""

    @property
    def name(self) -> str:
        """The model's name, for people."""
        return f"{self.built.model.name}{self.note}"
