"""What happened in each epoch of a training."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, field
from typing import Any

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
