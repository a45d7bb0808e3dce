"""What is to be measured: models that were opened and checked, how each is run, and for how long."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ...edge.modelfile import ModelFile
from ...edge.runtime import Execution

PROCESSES = 5  # For each model: the place of its memory moves the median by some per cent.
_CHUNK = 1 << 20


@dataclass(frozen=True)
class CheckedModel:
    """A model file that was read, checked and hashed once, for all parts of a benchmark.

    `sha256` and `size_bytes` are those of the whole file, the appended zip included.
    """

    path: Path
    file: ModelFile
    sha256: str
    size_bytes: int

    @classmethod
    def read(cls, path: Path) -> CheckedModel:
        """Read a .tflite file; raises as ModelFile.read does."""
        file = ModelFile.read(path)
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
            return cls(path, file, digest.hexdigest(), stream.tell())

    @property
    def variant(self) -> str | None:
        """The variant that the model's card names; None where there is none."""
        card = self.file.card
        return card.conversion.variant if card and card.conversion else None


@dataclass(frozen=True)
class ModelRun:
    """A model, and how it is run."""

    model: CheckedModel
    execution: Execution

    @property
    def path(self) -> Path:
        """The path of the model file, as it was given."""
        return self.model.path


@dataclass(frozen=True)
class Plan:
    """Which models take turns, and for how long.

        model = CheckedModel.read(Path("model.tflite"))
        plan = Plan((ModelRun(model, Execution(threads=1)), ModelRun(model, Execution(threads=4))), runs=200)

    `runs` is the number of timed inferences of each model; None: as many as it takes to know the median well.
    `base` is the place of the model run that the ratios of the others refer to. With `yardstick`, the
    yardstick model takes turns too, once for each runtime and number of threads. Each model is run without a
    pause for `soak_minutes` after the turns; None: no soak.
    """

    model_runs: tuple[ModelRun, ...]
    runs: int | None = None
    processes: int = PROCESSES
    base: int = 0
    yardstick: bool = True
    soak_minutes: float | None = None
