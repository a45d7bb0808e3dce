"""What can be measured of a model besides its latency: accuracy, the stages around it, its operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..edge.console import say
from ..edge.errors import BenchmarkError, EdgeClassifyError
from ..edge.labels import read_label_file
from ..edge.modelfile import ModelFile, Normalization
from ..edge.runtime import Execution
from .results.result import Result

if TYPE_CHECKING:
    from .accuracy.training import KnownSplit
    from .request import Request
    from .results.sections import Accuracy

# A result, and how its model was run: for those parts that run it again.
Row = tuple[Result, Execution]


def add_accuracy(request: Request, rows: Sequence[Row]) -> tuple[list[Result], bool]:
    """Score the results' models on the request's images; return them, and whether all went well.

    Threads don't change answers: each file is run once for each runtime and delegate.
    """
    from .accuracy.training import find_splits

    assert request.data is not None
    splits = find_splits(request.data, request.files, request.split)
    found: dict[tuple[str, Execution], Accuracy] = {}
    well = True
    told: set[str] = set()
    for how in dict.fromkeys(replace(execution, threads=1) for _, execution in rows):
        files = [r.subject.file for r, execution in rows if replace(execution, threads=1) == how]
        scored, remarks = _score(request, list(dict.fromkeys(files)), how, splits)
        found |= {(file, how): accuracy for file, accuracy in scored.items()}
        well = well and not remarks
        for remark in remarks:
            if remark not in told:
                say(remark)
        told |= set(remarks)
    return [
        _with_accuracy(result, found.get((result.subject.file, replace(how, threads=1))))
        for result, how in rows
    ], well


def _score(
    request: Request, files: Sequence[str], how: Execution, splits: Sequence[KnownSplit]
) -> tuple[dict[str, Accuracy], list[str]]:
    """Return the accuracy of each file that could be scored, and sentences about what could not be read."""
    from .accuracy.models import open_models
    from .accuracy.score import score
    from .results.sections import Accuracy

    assert request.data is not None
    labels = read_label_file(request.labels) if request.labels else None
    models = open_models([Path(file) for file in files], labels, request.normalization, how)
    base = files.index(str(request.base)) if request.base and str(request.base) in files else None
    scores = score(models, request.data, splits, base)
    remarks = [f"skipped {image.reason}" for image in scores.skipped]
    found = {}
    for file, outcome in zip(files, scores.outcomes, strict=True):
        if isinstance(outcome, Accuracy):
            found[file] = outcome
        else:
            remarks.append(f"Error: {outcome.error}. The accuracy was not measured")
    return found, remarks


def _with_accuracy(result: Result, accuracy: Accuracy | None) -> Result:
    from .accuracy.training import training_remark

    if accuracy is None:
        return result
    remark = training_remark(accuracy, Path(result.subject.file).name)
    return replace(result, accuracy=accuracy, remarks=(*result.remarks, *([remark] if remark else ())))


def add_stages(request: Request, result: Result, execution: Execution) -> Result:
    """Measure the stages on the request's images, and the start of a process."""
    from .stages.cold import measure_cold_start
    from .stages.files import measure_stages

    assert request.data is not None
    path = Path(result.subject.file)
    labels, normalization = _told(request, path)
    images = [image.path for image in request.data.images]
    names = read_label_file(labels) if labels else None
    stages = measure_stages(path, execution, images, names, normalization)
    cold = measure_cold_start(path, _readable(images), execution, labels, normalization)
    return replace(result, stages=(*result.stages, stages), cold_start=cold)


def add_camera(request: Request, result: Result, execution: Execution) -> Result:
    """Measure the stages of a camera's frames."""
    from .stages.camera import measure_camera

    assert request.camera is not None
    path = Path(result.subject.file)
    labels, normalization = _told(request, path)
    names = read_label_file(labels) if labels else None
    stages = measure_camera(path, execution, request.camera, labels=names, normalization=normalization)
    return replace(result, stages=(*result.stages, stages))


def add_operations(_: Request, result: Result, execution: Execution) -> Result:
    """Measure where the time goes."""
    from .operations.measure import measure_operations

    found = measure_operations(Path(result.subject.file), execution, result.latency.median_ms)
    return replace(result, operations=found)


def _told(request: Request, path: Path) -> tuple[Path | None, Normalization | None]:
    """Return --labels and --normalization, but nothing for a model that carries its own."""
    if ModelFile.read(path).card is not None:
        return None, None
    return request.labels, request.normalization


def _readable(images: Sequence[Path]) -> Path:
    """Return the first image that can be decoded; raises BenchmarkError when none can."""
    from ..edge.image import load_image

    for image in images:
        try:
            load_image(image)
        except EdgeClassifyError:
            continue
        return image
    raise BenchmarkError("None of the images of --data can be read")
