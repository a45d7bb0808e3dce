"""One run of edge-benchmark on this machine: part by part, so that what fails costs nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..edge.console import INTERRUPTED, say
from ..edge.errors import BenchmarkError, EdgeClassifyError
from ..edge.labels import read_label_file
from ..edge.modelfile import ModelFile, Normalization
from ..edge.progress import progress
from ..edge.runtime import Execution
from .host import Host, describe_host
from .measuring.plan import Failed, Measured, Plan, Task
from .measuring.turns import measure, steps
from .request import Request
from .results.origin import describe_origin
from .results.result import Failure, Origin, Result, Subject

if TYPE_CHECKING:
    from .request import Request
    from .results.result import Accuracy
    from .scoring.training_images import KnownSplit


Results = Sequence[Result | Failure]


@dataclass(frozen=True)
class Outcome:
    """What was measured, and the exit status.

    `others` are the records of other tools, which are shown and kept as they are.
    """

    results: Results
    status: int
    others: tuple[dict[str, Any], ...] = ()


# A result, and how its model was run: for those parts that run it again.
Row = tuple[Result, Execution]


def add_accuracy(request: Request, rows: Sequence[Row]) -> tuple[list[Result], bool]:
    """Score the results' models on the request's images; return them, and whether all went well.

    Threads don't change answers: each file is run once for each runtime and delegate.
    """
    from .scoring.training_images import find_splits

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
    from .results.result import Accuracy
    from .scoring.score import open_models, score

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
    from .scoring.training_images import training_remark

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


Part = Callable[[Request, Result, Execution], Result]


class Session:
    """What came of a request, as far as it got: `results` in the order of the tasks, and exit `status`."""

    def __init__(self, request: Request) -> None:
        """Take what is asked for; nothing is measured yet."""
        self.request = request
        self.results: list[Result | Failure] = []
        self.status = 0
        self._executions: list[Execution] = []

    def run(self) -> None:
        """Measure everything; what fails, or comes after Ctrl-C, leaves what was measured before as it is."""
        request = self.request
        self._take_turns()
        if request.data is not None:
            self._try("the accuracy", self._add_accuracy)
        if request.stages:
            self._try("stages", lambda: self._add_to_each("stages", add_stages))
        if request.camera is not None:
            self._try("the camera's stages", lambda: self._add_to_each("camera", add_camera))
        if request.by_operation:
            self._try("operations", lambda: self._add_to_each("operations", add_operations))

    def _take_turns(self) -> None:
        request = self.request
        host, origin = describe_host(), describe_origin()
        checked = {task: _open(task) for task in request.tasks}
        files = {task: file for task, file in checked.items() if isinstance(file, ModelFile)}
        found: dict[Task, Measured | Failed] = {
            task: file for task, file in checked.items() if isinstance(file, Failed)
        }
        interrupted = False
        if files:
            plan = Plan(
                tuple(files),
                request.runs,
                request.processes,
                base=_choose_base(files, request.base),
                soak_minutes=request.soak_minutes,
            )
            with progress("measuring", steps(plan), "steps") as advance:
                outcome = measure(plan, advance)
            found |= {one.task: one for one in outcome.outcomes}
            interrupted = outcome.interrupted
        for task, one in ((task, found[task]) for task in checked if task in found):
            self._executions.append(task.execution)
            if isinstance(one, Failed):
                say(f"Error: {one.error}", "error")
                self.status = 1
                self.results.append(_failure(one, host, origin))
            else:
                self.results.append(_result(one, files[task], host, origin))
        if interrupted:
            done = sum(isinstance(result, Result) for result in self.results)
            say(f"Interrupted: {done} of {len(request.tasks)} were measured, not to the end")
            self.status = INTERRUPTED

    def _try(self, name: str, part: Callable[[], None]) -> None:
        """Measure a part, if there is anything to measure it of and Ctrl-C did not end it all."""
        if self.status == INTERRUPTED or not self._rows():
            return
        with self._kept(name):
            part()

    @contextmanager
    def _kept(self, name: str) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            say(f"Interrupted: {name} could not be measured to the end")
            self.status = INTERRUPTED
        except EdgeClassifyError as error:
            say(f"Error: {error}. So {name} could not be measured", "error")
            self.status = 1

    def _rows(self) -> dict[int, Row]:
        """Return the results with their executions, by their place."""
        rows = enumerate(zip(self.results, self._executions, strict=True))
        return {place: (result, how) for place, (result, how) in rows if isinstance(result, Result)}

    def _add_accuracy(self) -> None:
        rows = self._rows()
        results, well = add_accuracy(self.request, list(rows.values()))
        for place, result in zip(rows, results, strict=True):
            self.results[place] = result
        self.status = self.status if well else 1

    def _add_to_each(self, name: str, add: Part) -> None:
        rows = self._rows()
        with progress(name, len(rows), "models") as advance:
            for place, (result, execution) in rows.items():
                try:
                    self.results[place] = add(self.request, result, execution)
                except EdgeClassifyError as error:
                    say(f"Error: {error}", "error")
                    self.status = 1
                advance(note=Path(result.subject.file).name)


def _open(task: Task) -> ModelFile | Failed:
    try:
        return ModelFile.read(task.path)
    except EdgeClassifyError as error:
        return Failed(task, str(error))


def _choose_base(files: Mapping[Task, ModelFile], named: Path | None) -> int:
    """Return the place of the task that the others are compared with.

    That is the one the user named, else the first float32 variant, else the first.
    """
    for place, task in enumerate(files):
        if task.path == named:
            return place
    variants = [
        file.card.conversion.variant if file.card and file.card.conversion else None
        for file in files.values()
    ]
    return variants.index("float32") if "float32" in variants else 0


def _result(found: Measured, file: ModelFile, host: Host, origin: Origin) -> Result:
    path, how, card = found.task.path, found.task.execution, file.card
    subject = Subject(
        file=str(path),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        size_bytes=path.stat().st_size,
        variant=card.conversion.variant if card and card.conversion else None,
        threads=how.threads,
        runtime=found.runtime,
        delegate=how.delegate,
    )
    return Result(
        subject=subject,
        latency=found.latency,
        memory=found.memory,
        energy=found.energy,
        conditions=found.conditions,
        host=host,
        origin=origin,
        ratio=found.ratio,
        yardstick=found.yardstick,
        soak=found.soak,
        remarks=found.remarks,
    )


def _failure(found: Failed, host: Host, origin: Origin) -> Failure:
    how = found.task.execution
    return Failure(
        str(found.task.path),
        how.threads,
        found.error,
        host,
        origin,
        runtime=how.runtime,
        delegate=how.delegate,
    )
