"""One run of edge-benchmark on this machine, part by part: a part that fails costs no other its results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..edge.console import INTERRUPTED, say
from ..edge.errors import BenchmarkError, EdgeClassifyError
from ..edge.foreign import ForeignFacts
from ..edge.labels import read_label_file
from ..edge.option_rules import no_effect
from ..edge.progress import progress
from ..edge.runtime import Execution
from ..edge.statistics.chance import untold_remark
from .host import describe_host
from .measuring.plan import CheckedModel, ModelRun, Plan
from .measuring.turns import MeasuringInterrupted, measure, steps
from .request import Request
from .results.origin import describe_origin
from .results.result import Failure, MeasuredAccuracy, Origin, Result
from .scoring.labelled import LabelledData

if TYPE_CHECKING:
    from .scoring.training_images import KnownSplit


Results = Sequence[Result | Failure]
# Adds a section to the result of a model.
Part = Callable[[CheckedModel, Result], Result]


@dataclass(frozen=True)
class Outcome:
    """What was measured, and the exit status.

    `others` are the records of other tools, which are shown and kept as they are.
    """

    results: Results
    status: int
    others: tuple[dict[str, Any], ...] = ()


class BenchmarkSession:
    """Measures what is requested: `results` are in the order of the request, `status` is the exit status."""

    def __init__(self, request: Request) -> None:
        """Take the request; nothing is measured yet."""
        self.request = request
        self.results: list[Result | Failure] = []
        self.status = 0
        self._models: dict[str, CheckedModel] = {}  # By path, as results name it.

    def run(self) -> None:
        """Measure everything. A part that fails, and Ctrl-C, leave what was measured before as it is."""
        request, data, camera = self.request, self.request.data, self.request.camera
        self._take_turns()
        if data is not None:
            self._try("the accuracy", partial(self._add_accuracy, data))
        if data is not None and request.stages:
            self._try_each("stages", "stages", partial(add_stages, request, data))
        if camera is not None:
            self._try_each("the camera's stages", "camera", partial(add_camera, request, camera))
        if request.by_operation:
            self._try_each("operations", "operations", add_operations)

    def _take_turns(self) -> None:
        origin = describe_origin()
        asked = self._open_models(origin)
        self._report_useless_options()
        model_runs = tuple(item for item in asked if isinstance(item, ModelRun))
        measured = iter(self._measure(model_runs, origin) if model_runs else ())
        found = [next(measured) if isinstance(item, ModelRun) else item for item in asked]
        self.results = [result for result in found if result is not None]
        for result in self.results:
            if isinstance(result, Failure):
                say(f"Error: {result.error}", "error")
                self.status = max(self.status, 1)
        if self.status == INTERRUPTED:
            done = sum(isinstance(result, Result) for result in self.results)
            say(f"Interrupted: {done} of {len(asked)} were measured, not to the end")

    def _open_models(self, origin: Origin) -> list[ModelRun | Failure]:
        """Read each file once; return every file with every execution, or why it cannot be read."""
        host = describe_host()
        asked: list[ModelRun | Failure] = []
        for path in dict.fromkeys(self.request.files):
            try:
                model = self._models[str(path)] = CheckedModel.read(path)
            except EdgeClassifyError as error:
                executions = dict.fromkeys(self.request.executions)
                asked += [Failure.of(path, execution, str(error), host, origin) for execution in executions]
            else:
                asked += [ModelRun(model, execution) for execution in dict.fromkeys(self.request.executions)]
        return asked

    def _report_useless_options(self) -> None:
        """Say that options have no effect on the models of a camera's stages; scoring refuses them itself."""
        request = self.request
        names = [*(["--labels"] if request.labels else []), *request.facts.options]
        carries = [model.file.card is not None for model in self._models.values()]
        if names and request.data is None and carries and all(carries):
            say(no_effect(names, "with models that carry a card"))

    def _measure(self, model_runs: tuple[ModelRun, ...], origin: Origin) -> Sequence[Result | Failure | None]:
        """Return what was measured of each; None for those that Ctrl-C left without a turn."""
        request = self.request
        plan = Plan(
            model_runs,
            request.runs,
            request.processes,
            base=_choose_base(model_runs, request.base),
            soak_minutes=request.soak_minutes,
        )
        with progress("measuring", steps(plan), "steps") as advance:
            try:
                return measure(plan, advance, origin)
            except MeasuringInterrupted as stop:
                self.status = INTERRUPTED
                return stop.results

    def _measured(self) -> dict[int, Result]:
        """Return the results by their place."""
        return {place: result for place, result in enumerate(self.results) if isinstance(result, Result)}

    def _try(self, name: str, part: Callable[[], None]) -> None:
        """Measure a part, unless no model was measured, or Ctrl-C has ended the session."""
        if self.status == INTERRUPTED or not self._measured():
            return
        with self._kept(name):
            part()

    def _try_each(self, name: str, title: str, part: Part) -> None:
        """Measure a part of each model; `title` is that of the progress bar."""
        self._try(name, partial(self._add_to_each, title, part))

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

    def _add_accuracy(self, data: LabelledData) -> None:
        measured = self._measured()
        results, well = add_accuracy(self.request, data, self._models, list(measured.values()))
        for place, result in zip(measured, results, strict=True):
            self.results[place] = result
        self.status = self.status if well else 1
        if examine_readings(self.request, data, results):
            self.status = 1

    def _add_to_each(self, title: str, part: Part) -> None:
        measured = self._measured()
        with progress(title, len(measured), "models") as advance:
            for place, result in measured.items():
                try:
                    self.results[place] = part(self._models[result.file], result)
                except EdgeClassifyError as error:
                    say(f"Error: {error}", "error")
                    self.status = 1
                advance(note=Path(result.file).name)


def add_accuracy(
    request: Request, data: LabelledData, models: Mapping[str, CheckedModel], results: Sequence[Result]
) -> tuple[list[Result], bool]:
    """Score the models of the results, found by their paths; return the results, and whether all went well.

    Threads do not change answers: each file is run once for each runtime and delegate.
    """
    from .scoring.training_images import find_splits

    splits = find_splits(data, request.files, request.split)
    found: dict[tuple[str, Execution], MeasuredAccuracy] = {}
    remarks: list[str] = []
    for how in dict.fromkeys(_on_one_thread(result) for result in results):
        files = dict.fromkeys(result.file for result in results if _on_one_thread(result) == how)
        scored, said = _score(request, data, [models[file] for file in files], how, splits)
        found |= {(file, how): accuracy for file, accuracy in scored.items()}
        for remark in said:
            if remark not in remarks:
                say(remark)
                remarks.append(remark)
    added = [_with_accuracy(result, found.get((result.file, _on_one_thread(result)))) for result in results]
    return added, not remarks


def examine_readings(request: Request, data: LabelledData, results: Sequence[Result]) -> bool:
    """Say why models may not be better than chance, and what to type; return whether there are such."""
    from .scoring.readings import examine_at_chance

    say_untold(results)
    said = examine_at_chance(results, data.images, _facts(request))
    for sentence in said:
        say(sentence)
    return bool(said)


def say_untold(results: Sequence[Result | Failure]) -> None:
    """Say of which models the images cannot tell whether they are better than chance."""
    remarks = [
        untold_remark(Path(result.file).name, result.accuracy)
        for result in results
        if isinstance(result, Result) and result.accuracy is not None
    ]
    for remark in dict.fromkeys(remarks):
        if remark is not None:
            say(remark)


def add_stages(request: Request, data: LabelledData, model: CheckedModel, result: Result) -> Result:
    """Measure the stages on labelled images, and the start of a process."""
    from .stages.cold import measure_cold_start
    from .stages.measure import measure_stages

    execution = result.known_execution()
    facts = _facts(request).on(model.file)
    labels = request.labels if model.file.card is None else None
    images = [image.path for image in data.images]
    stages = measure_stages(model.path, execution, images, facts)
    cold = measure_cold_start(model.path, _readable(images), execution, labels, facts)
    return replace(result, stages=(*result.stages, stages), cold_start=cold)


def add_camera(request: Request, camera: str, model: CheckedModel, result: Result) -> Result:
    """Measure the stages of the frames of a camera."""
    from ..edge.sources.camera import CameraOptions
    from .stages.measure import measure_camera

    facts, options = _facts(request).on(model.file), CameraOptions(tls_fingerprint=request.tls_fingerprint)
    stages = measure_camera(model.path, result.known_execution(), camera, options=options, facts=facts)
    return replace(result, stages=(*result.stages, stages))


def add_operations(model: CheckedModel, result: Result) -> Result:
    """Measure the time of each operator."""
    from .operations.measure import measure_operations

    found = measure_operations(model.path, result.known_execution(), result.latency.median_ms)
    return replace(result, operations=found)


def _choose_base(model_runs: Sequence[ModelRun], named: Path | None) -> int:
    """Return the place of the model that the others are compared with.

    That is the one that the user named, else the first float32 variant, else the first model.
    """
    for place, model_run in enumerate(model_runs):
        if model_run.path == named:
            return place
    variants = [model_run.model.variant for model_run in model_runs]
    return variants.index("float32") if "float32" in variants else 0


def _on_one_thread(result: Result) -> Execution:
    return replace(result.known_execution(), threads=1)


def _score(
    request: Request,
    data: LabelledData,
    models: Sequence[CheckedModel],
    how: Execution,
    splits: Sequence[KnownSplit],
) -> tuple[dict[str, MeasuredAccuracy], list[str]]:
    """Return the accuracy of each file that could be scored, and sentences about what could not be read."""
    from .scoring.answers import open_models
    from .scoring.score import score

    opened = open_models([model.file for model in models], _facts(request), how)
    paths = [model.path for model in models]
    base = paths.index(request.base) if request.base in paths else None
    scores = score(opened, data, splits, base)
    remarks = [f"skipped {image.reason}" for image in scores.skipped]
    found = {}
    for path, outcome in zip(paths, scores.outcomes, strict=True):
        if isinstance(outcome, MeasuredAccuracy):
            found[str(path)] = outcome
        else:
            remarks.append(f"Error: {outcome.error}. The accuracy was not measured")
    return found, remarks


def _with_accuracy(result: Result, accuracy: MeasuredAccuracy | None) -> Result:
    from .scoring.training_images import training_remark

    if accuracy is None:
        return result
    remark = training_remark(accuracy, Path(result.file).name)
    return replace(result, accuracy=accuracy, remarks=(*result.remarks, *([remark] if remark else ())))


def _facts(request: Request) -> ForeignFacts:
    """Return what the request says about models without a card, with the labels read from their file."""
    return replace(request.facts, labels=read_label_file(request.labels) if request.labels else None)


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
