"""One run of edge-train, from the data set to the run folder. Import it only after TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import tensorflow as tf

from ..benchmarks.scoring.split import Split
from ..edge.console import say
from ..edge.errors import OptionError
from ..edge.files import write_atomically
from .audit_report import view_audit
from .augmentation_choice import choose_augmentation
from .built_in import BUILT_IN
from .cache import Cache, open_cache
from .cross_validation import cross_validate
from .dataset import (
    AuditedData,
    PreparedData,
    decode_again,
    prepare_audit,
    prepare_split,
    split_audited,
    with_side,
)
from .folds import FEW_IMAGES, plan_folds
from .imbalance import choose
from .one_model import (
    add_cross_validation,
    check_refit,
    library_versions,
    measure_again,
    train_model,
    training_counts,
)
from .options import TrainOptions
from .output import (
    REPORT,
    check_output,
    checkpoint_of,
    finish_move,
    publish,
    require_apart,
    resume_command,
    trials_of,
    unfinished,
)
from .report import ModelReport, render_report
from .request import TrainingRequest
from .search_space import check_tuning
from .starting_point_choice import choose_starting_point, read_remarks
from .teacher_choice import TeacherChoice, choose_teacher, require_teacher
from .trials import describe_best


@dataclass
class Progress:
    """The progress of a run: its request lists the finished models."""

    request: TrainingRequest
    output: Path
    work: Path

    def finish(self, model: str) -> None:
        """Note that a model is finished."""
        self.request = self.request.with_finished(model)
        self.request.write(self.work)

    def folder_of(self, model: str) -> Path | None:
        """Return the folder of a model that an earlier process finished, or None."""
        if model not in self.request.finished:
            return None
        folder = finish_move(self.work, self.output, model)
        if folder is None:
            say(f"{model}: was trained before the interruption, but is missing: it is trained again")
        return folder


class Ending(Enum):
    """How a run ended."""

    COMPLETE = "complete"
    INTERRUPTED = "interrupted by Ctrl-C"
    FAILED = "a model, or its cross-validation, could not be trained"


@dataclass(frozen=True)
class RunResult:
    """The trained models, and how the run ended; `unreadable` is a number of images."""

    split: Split
    models: list[ModelReport]
    ending: Ending
    unreadable: int


def train(data: str, output: Path, options: TrainOptions, force: bool, command: str) -> RunResult:
    """Train every model of `options` on `data`, a folder or the name of a built-in set.

    Everything is made in RUN/.unfinished, and moved into the run at the end. Raises DatasetError,
    WeightsError, OptionError and OutputExistsError.
    """
    check_output(output, force)
    require_teacher(options.teacher_file, options.unlabelled)
    if data not in BUILT_IN:
        require_apart(Path(data), output)
    with unfinished(output, resume=False) as work:
        request = TrainingRequest(data, options, command, str(Path.cwd()), library_versions())
        return _run(request, output, work)


def resume(output: Path) -> RunResult:
    """Continue a training that was interrupted or killed, with its original options.

    Raises OptionError if there is none in `output`, DatasetError if the images have changed since.
    """
    TrainingRequest.read(output).require_files()
    with unfinished(output, resume=True) as work:
        request = TrainingRequest.read(output)
        if remark := request.remark_on_versions(library_versions()):
            say(remark)
        return _run(request, output, work)


def _run(request: TrainingRequest, output: Path, work: Path) -> RunResult:
    tf.config.experimental.enable_op_determinism()
    check_tuning(request.options)
    request.write(work)
    progress = Progress(request, output, work)
    try:
        root = None if request.data in BUILT_IN else Path(request.data)
        with open_cache(request.options.cache, work, root) as cache:
            result = _train_and_report(progress, cache)
    except BaseException as error:
        if not progress.request.has_progress(work):
            TrainingRequest.delete(work)
        elif isinstance(error, KeyboardInterrupt | OSError):
            say(f"Continue with: {resume_command(output)}")
        raise
    if result.ending is Ending.INTERRUPTED:
        say(f"Continue with: {resume_command(output)}")
    else:
        TrainingRequest.delete(work)
    return result


def _train_and_report(progress: Progress, cache: Cache) -> RunResult:
    request, work = progress.request, progress.work
    options = request.trained_options
    audited = prepare_audit(
        request.data, work, cache, replace(options, models=()) if options.is_auto else options
    )
    data = split_audited(audited)
    check_refit(data, audited.options)
    progress.request = request.on_split(data.split.sha256)
    progress.request.write(work)
    if options.is_auto:
        audited = _choose_starting_point(audited, data, cache, progress)
        data = prepare_split(audited, data.split)
    options = audited.options
    groups = audited.audit.groups
    choice = choose_augmentation(options.augment, data, groups, options.seed, progress.request.keeping or ())
    for remark in choice.remarks:
        say(remark)
    progress.request = progress.request.with_keeping(choice.measured)
    progress.request.write(work)
    data = choice.on(data)
    teachers = TeacherChoice(None, data.split.labels)
    if options.teacher is not None:
        teachers = choose_teacher(audited, data, cache)
        progress.request = progress.request.with_teaching(teachers.sha256)
        progress.request.write(work)
        if teachers.loaded is not None:
            data = with_side(data, audited, teachers.loaded.side, cache)
    folds = [
        choose_augmentation(options.augment, fold, groups, options.seed).on(fold)
        for fold in plan_folds(audited, data)
    ]
    reports, ending = _train_models(data, options, cache, progress, teachers)
    if folds and ending is not Ending.INTERRUPTED:
        reports, tested = _cross_validate(reports, data.name, folds, options, cache, progress)
        ending = tested if ending is Ending.COMPLETE else ending
    data.split.write(work)
    facts = {"Command": request.command, "Seed": options.seed, **library_versions()}
    view = view_audit(audited.audit, audited.found.root)
    notes = [*_notes(data, options, len(folds)), *choice.remarks, *read_remarks(work)]
    if options.tune:
        notes += [describe_best(report.name, trials_of(work, report.name)) for report in reports]
    missing = [name for name in options.models if name not in {report.name for report in reports}]
    page = render_report(
        data.name,
        data.split,
        reports,
        facts,
        notes,
        view,
        run=progress.output,
        missing=missing,
        interrupted=ending is Ending.INTERRUPTED,
    )
    # A path in the command may hold bytes that are not text.
    write_atomically(work / REPORT, page.encode("utf-8", "backslashreplace"))
    publish(work, progress.output, progress.request.finished)
    return RunResult(data.split, reports, ending, len(audited.audit.unreadable))


def _choose_starting_point(
    audited: AuditedData, data: PreparedData, cache: Cache, progress: Progress
) -> AuditedData:
    """Return the data set with the options and the pixels of what --model auto chooses."""
    choice = choose_starting_point(audited, data, cache, progress.work)
    for remark in choice.remarks:
        say(remark)
    progress.request = progress.request.with_starting_point(choice.point)
    progress.request.write(progress.work)
    return decode_again(audited, choice.point.on(audited.options), cache)


def _train_models(
    data: PreparedData,
    options: TrainOptions,
    cache: Cache,
    progress: Progress,
    teachers: TeacherChoice,
) -> tuple[list[ModelReport], Ending]:
    """Train one model after the other; a failure of a later one keeps the earlier ones."""
    reports: list[ModelReport] = []
    for name in options.models:
        if folder := progress.folder_of(name):
            say(f"{name}: was trained before the interruption")
            reports.append(measure_again(name, folder, data, options))
            continue
        try:
            teaching = teachers.teaching(name, progress.folder_of)
            own = options if teaching else options.for_teacher()
            reports.append(train_model(name, data, progress.work, own, cache, teaching))
        except (KeyboardInterrupt, OptionError) as error:
            # With a checkpoint, RUN may hold the best epoch so far, which must not be lost.
            if not reports or checkpoint_of(progress.work, name).is_file():
                raise
            if isinstance(error, OptionError):
                say(f"{error}. The earlier models are kept")
                return reports, Ending.FAILED
            say(f"Interrupted before {name} was finished: the earlier models are kept")
            return reports, Ending.INTERRUPTED
        if reports[-1].interrupted:
            return reports, Ending.INTERRUPTED
        progress.finish(name)
    return reports, Ending.COMPLETE


def _cross_validate(
    reports: Sequence[ModelReport],
    dataset: str,
    folds: Sequence[PreparedData],
    options: TrainOptions,
    cache: Cache,
    progress: Progress,
) -> tuple[list[ModelReport], Ending]:
    """Add the cross-validation of each model to its report, its metrics and its card."""
    done, ending = list(reports), Ending.COMPLETE
    for number, report in enumerate(reports):
        try:
            pooled = cross_validate(report.name, folds, progress.work, options, cache)
        except KeyboardInterrupt:
            say(f"Interrupted in the cross-validation of {report.name}: the trained models are kept")
            return done, Ending.INTERRUPTED
        except OptionError as error:
            say(f"{error}. {report.name} is kept, without a cross-validation")
            ending = Ending.FAILED
            continue
        if folder := progress.folder_of(report.name):
            done[number] = add_cross_validation(report, pooled, dataset, folder)
    return done, ending


def _notes(data: PreparedData, options: TrainOptions, folds: int) -> list[str]:
    notes = [f"Preset: {options.preset}"]
    if options.teacher:
        notes.append(f"Teacher: {options.teacher}, from whose answers the other models learn too")
    if options.imbalance == "auto":
        notes.append(choose(training_counts(data))[1])
    if options.folds is None and folds:
        notes.append(f"Folds: {folds}, because there are fewer than {FEW_IMAGES} images, and few for testing")
    return notes
