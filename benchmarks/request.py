"""What edge-benchmark is asked to measure on one machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..edge.modelfile import Normalization
from ..edge.runtime import Execution
from .measuring.plan import PROCESSES
from .scoring.labelled import LabelledData


@dataclass(frozen=True)
class Request:
    """Every file with every execution is measured; ratios are to `base`, else to the first.

    `labels` and `normalization` are for models that carry none. `split` is a run whose split tells which of
    the images of `data` the models were trained on.
    """

    files: tuple[Path, ...]
    executions: tuple[Execution, ...] = (Execution(),)
    runs: int | None = None
    processes: int = PROCESSES
    base: Path | None = None
    soak_minutes: float | None = None
    data: LabelledData | None = None
    split: Path | None = None
    labels: Path | None = None
    normalization: Normalization | None = None
    stages: bool = False
    camera: str | None = None
    by_operation: bool = False
