"""What the process that measures stages is told, and what it answers; its crash takes nothing else along."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import dacite

from ...edge.children import ask
from ...edge.classifier import Classifier
from ...edge.errors import BenchmarkError, EdgeClassifyError, SourceError
from ...edge.log import scrub
from ...edge.modelfile import Normalization
from ...edge.runtime import Execution
from ...edge.sources.camera import CameraOptions
from ..results.result import Stages

_START = f"from {__package__}.worker import main; main()"


@dataclass(frozen=True)
class CameraJob:
    """So many frames of what --camera takes, for at most so many seconds; `name` may hold a password."""

    name: str
    options: CameraOptions
    frames: int
    seconds: float


@dataclass(frozen=True)
class Job:
    """A model file and how it is run, and either pictures for so many workers, or a camera."""

    model: str
    execution: Execution
    labels: tuple[str, ...] | None
    normalization: tuple[tuple[float, ...], tuple[float, ...]] | None  # A Normalization; it is JSON between.
    images: tuple[str, ...] = ()
    workers: int = 1
    camera: CameraJob | None = None

    def to_json(self) -> bytes:
        """Return it as parse_job reads it."""
        return json.dumps(asdict(self)).encode()

    def load(self) -> Classifier:
        """Return the model, loaded; raises ModelFileError and what open_interpreter raises."""
        normalization = Normalization(*self.normalization) if self.normalization else None
        return Classifier.from_file(self.model, self.labels, normalization, self.execution)


def parse_job(text: bytes) -> Job:
    """Read what to_json gave."""
    return dacite.from_dict(Job, json.loads(text), dacite.Config(cast=[tuple]))


def run_job(job: Job, timeout: float) -> Stages:
    """Have it done in a process of its own, within so many seconds.

    Raises SourceError where the camera is what failed, else BenchmarkError.
    """
    told = ask(_START, timeout=timeout, given=job.to_json())
    if told.answer is None:
        raise BenchmarkError(f"{job.model}: measuring its stages {told.reason}")
    if "error" in told.answer:
        kind = SourceError if told.answer["kind"] == SourceError.__name__ else BenchmarkError
        raise kind(told.answer["error"])
    return dacite.from_dict(Stages, told.answer, dacite.Config(cast=[tuple]))


def answer_of(stages: Stages | EdgeClassifyError) -> dict[str, Any]:
    """Return what the process prints of its outcome."""
    if isinstance(stages, Stages):
        return asdict(stages)
    return {"error": scrub(str(stages)), "kind": type(stages).__name__}
