"""Measures the stages of one model in a child process, so that a crash costs nothing else."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import dacite

from ...edge.child_loop import answer_questions
from ...edge.children import ask
from ...edge.classifier import Classifier
from ...edge.cores import workers_of
from ...edge.errors import BenchmarkError, EdgeClassifyError, SourceError
from ...edge.foreign import NO_FACTS, ForeignFacts
from ...edge.log import scrub
from ...edge.modelfile import ModelFile, Normalization
from ...edge.runtime import Execution
from ...edge.sources.addresses import keep_secrets
from ...edge.sources.camera import CameraOptions
from ...edge.sources.grabber import OPEN_LIMIT
from ..results.result import Stages
from .camera import CameraRequest, time_camera
from .files import sample, time_files

CAMERA_FRAMES = 100
CAMERA_SECONDS = 60.0
_CAMERA_SLACK_S = 60.0  # To start the process, load the model, and close a slow driver.
_FILES_TIMEOUT_S = 900.0
_START = f"from {__name__} import main; main()"


@dataclass(frozen=True)
class StagesRequest:
    """A model file and how it is run, and either pictures and a number of workers, or a camera."""

    model: str
    execution: Execution
    facts: ForeignFacts = NO_FACTS
    images: tuple[str, ...] = ()
    workers: int = 1
    camera: CameraRequest | None = None

    def to_json(self) -> dict[str, Any]:
        """Return an object for JSON, which `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> StagesRequest:
        """Return the request that `to_json` gave."""
        facts = values["facts"]
        stated = facts["normalization"]
        known = ForeignFacts(
            labels=None if facts["labels"] is None else tuple(facts["labels"]),
            normalization=None if stated is None else Normalization(*map(tuple, stated)),
            color=facts["color"],
            outputs=facts["outputs"],
            output_index=facts["output_index"],
        )
        request = dacite.from_dict(cls, {**values, "facts": NO_FACTS}, dacite.Config(cast=[tuple]))
        return replace(request, facts=known)

    def load(self) -> Classifier:
        """Load the model; raises ModelFileError and what open_interpreter raises."""
        return Classifier(ModelFile.read(Path(self.model)), self.facts, self.execution)


def measure_stages(
    path: Path,
    execution: Execution,
    images: Sequence[Path],
    facts: ForeignFacts = NO_FACTS,
    workers: int | None = None,
) -> Stages:
    """Measure a model's stages on pictures in files.

    At most files.MOST_PICTURES are timed, evenly spread over `images`, and fewer where they take long. The
    files are in the system's page cache: the disk is not measured. `workers` is for the second rate, None for
    as many as edge-classify has for a folder. `facts` are for a model without a card. Raises
    BenchmarkError where no picture can be read, or the model fails.
    """
    chosen = tuple(str(image) for image in sample(images))
    workers = workers or workers_of(execution.threads)
    request = StagesRequest(str(path), execution, facts, chosen, workers)
    return _measure(request, _FILES_TIMEOUT_S)


def measure_camera(
    path: Path,
    execution: Execution,
    source: str,
    frames: int = CAMERA_FRAMES,
    options: CameraOptions = CameraOptions(),  # noqa: B008 - frozen.
    facts: ForeignFacts = NO_FACTS,
    seconds: float = CAMERA_SECONDS,
) -> Stages:
    """Measure a model's stages on the frames of `--camera source`.

    As in edge-classify, each frame is the newest: `frames` of them, or as many as come within `seconds`. The
    stage `whole` is the time from taking a frame to its answer, and `age` that from its arrival, which may
    have been while the frame before was classified. Raises SourceError where the camera cannot be opened or
    gives too few frames, BenchmarkError where the model fails.
    """
    keep_secrets(source)
    camera = CameraRequest(source, options, frames, seconds)
    request = StagesRequest(str(path), execution, facts, camera=camera)
    return _measure(request, OPEN_LIMIT + seconds + _CAMERA_SLACK_S)


def main() -> None:
    """Measure in the child process."""
    gc.freeze()  # As edge-classify does: the garbage collector need not examine modules again and again.
    answer_questions(_answer)


def _measure(request: StagesRequest, timeout: float) -> Stages:
    reply = ask(_START, question=request.to_json(), timeout=timeout)
    if reply.answer is None:
        raise BenchmarkError(f"{request.model}: measuring its stages {reply.reason}")
    if "error" in reply.answer:
        kind = SourceError if reply.answer["kind"] == SourceError.__name__ else BenchmarkError
        raise kind(reply.answer["error"])
    return dacite.from_dict(Stages, reply.answer, dacite.Config(cast=[tuple]))


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    request = StagesRequest.from_json(question)
    try:
        classifier = request.load()
        if request.camera is not None:
            return asdict(time_camera(classifier, request.camera))
        return asdict(time_files(classifier, [Path(image) for image in request.images], request.workers))
    except EdgeClassifyError as error:
        return {"error": scrub(str(error)), "kind": type(error).__name__}
