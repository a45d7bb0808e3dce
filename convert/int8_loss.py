"""Decides whether int8 is shown to lose too much, and has it diagnosed, repaired, and the repair scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.results.numbers import points
from ..benchmarks.scoring.loss import AnyLoss, describe_doubt, in_points
from ..benchmarks.scoring.predict import read_pixels, true_indices
from ..edge.card import ModelCard
from ..edge.console import say
from ..edge.errors import ImageError
from ..edge.labelled import LabelledImage
from ..edge.statistics.chance import Standing, against_chance
from ..edge.statistics.paired_loss import LEVEL
from .calibration import CalibrationSet, order_by_turns, usual_count
from .job_tools import ConversionOutcome, ConversionSettings, JobTools, choose_calibration, open_job_tools
from .output import check_writable, made_folder, plot_file_name, write_or_keep
from .recipes import FLOAT32, INT8, INT8_FLOAT_IO, MIXED
from .repair.answers import answer, lost_to, store_pixels
from .repair.report import Attempt, RepairReport, RepairRequest
from .repair.search import find_repair
from .scoring import Scored
from .sources.job import Job
from .variant import Variant

_ADVICE = "ship float16, or train again with other settings (see --doctor)"
# Better calibration begins with more images; beyond that ranges hardly grow.
_LARGER = 2
# Their 95 % interval is about 2 points wide, and the search runs dozens of files over them.
_MOST_VALIDATION = 1000


def repair_int8(
    tools: JobTools,
    calibration: CalibrationSet,
    scored: Sequence[Scored],
    settings: ConversionSettings,
    outcome: ConversionOutcome,
) -> list[Scored]:
    """Return the variant mixed, scored, where int8 loses too much or mixed was asked for; else nothing.

    `calibration` is the set of int8, and the first of `scored` is float32. The report of the search joins
    `outcome`, and a sentence where no repair passes. Only a loss that the images show calls for a repair;
    one that they cannot exclude is reported.
    """
    name, float32_accuracy = tools.job.name, scored[0].accuracy
    if float32_accuracy is not None and against_chance(float32_accuracy) is Standing.NOT_BETTER:
        return []  # There is nothing to lose, and nothing that a repair could bring back.
    losses = [
        (item.loss, item)
        for item in scored
        if item.variant.recipe in (INT8, INT8_FLOAT_IO) and item.loss is not None
    ]
    if not losses:
        return []
    loss, worst = max(losses, key=lambda pair: pair[0].fraction)
    too_much = loss.is_shown_above(settings.max_drop, len(losses))
    if too_much:
        say(
            f"{name}: int8 loses {loss} on {loss.images:,} images, at least {in_points(loss.at_least())} at "
            f"{LEVEL * 100:.0f} %, and --max-drop allows {settings.max_drop * 100:g}: looking why"
        )
    else:
        _report_doubt(name, loss, settings)
        if MIXED not in settings.recipes:
            return []
    larger = _larger_calibration(tools.job, calibration)
    float32, int8 = scored[0].variant.plain, worst.variant.plain
    report = _search(tools, larger, float32, int8, settings.max_drop)
    outcome.repairs.append(report)
    write_or_keep(settings.output / plot_file_name(name), _plot(report), settings.force, outcome.unwritten)
    if too_much and report.chosen is report.int8:
        outcome.unrepaired.append(_describe_contradiction(loss, report))
        return []
    repaired = _score_repairs(tools, larger, report, settings, outcome, scored[0])
    if repaired is None:
        outcome.unrepaired.append(
            f"{name}: no repair of int8 stays within {points(settings.max_drop)}: {_ADVICE}"
        )
        return []
    return [repaired]


def _report_doubt(name: str, loss: AnyLoss, settings: ConversionSettings) -> None:
    """Say where the images are too few to tell whether int8 loses too much."""
    doubt = describe_doubt(loss, settings.max_drop)
    if doubt is not None:
        say(
            f"{name}: the measured loss of int8 is {loss}; whether its true loss is more than "
            f"{points(settings.max_drop)} {doubt}. --doctor looks for losses all the same"
        )


def _describe_contradiction(loss: AnyLoss, report: RepairReport) -> str:
    """Return the sentence for a loss on the scored images that the validation images do not show."""
    return (
        f"{report.name}: int8 loses {loss} on the {loss.images:,} images that it is scored on, and "
        f"{report.int8.drop * 100:.2f} on {report.images} validation images, which call for no repair. Are "
        f"these of another kind? If not, {_ADVICE}"
    )


def estimate_losses(tools: JobTools, calibration: CalibrationSet, scored: Sequence[Scored]) -> list[Scored]:
    """Estimate the losses of files that could not be scored; the first file is float32.

    They are measured on images of --calibration that nothing was calibrated with, if there are any.
    """
    images, truth = _validation(tools, calibration)
    pixels = store_pixels(_read(images, tools.job.card))
    reference = answer(scored[0].variant.plain, pixels)
    losses = [lost_to(reference, answer(item.variant.plain, pixels), truth) for item in scored]
    return [replace(item, estimated_loss=loss) for item, loss in zip(scored, losses, strict=True)]


def examine_int8(
    jobs: Sequence[Job], settings: ConversionSettings, unwritten: list[str]
) -> list[RepairReport]:
    """Search repairs for each model without scoring or writing any model file; the plots are written.

    A sentence joins `unwritten` for each plot that could not be written where it belongs. Raises
    OutputExistsError when a plot exists, and as `convert` does.
    """
    with made_folder(settings.output):
        check_writable(settings.output, [plot_file_name(job.name) for job in jobs], settings.force)
        return [_examine(job, settings, unwritten) for job in jobs]


def _examine(job: Job, settings: ConversionSettings, unwritten: list[str]) -> RepairReport:
    tools = open_job_tools(job, replace(settings, recipes=(INT8,)), outcome := ConversionOutcome())
    float32, int8 = (tools.maker.make(recipe, 1.0) for recipe in (FLOAT32, INT8))
    for file in outcome.skipped.values():
        say(f"skipped {file.reason}")
    calibration = _larger_calibration(job, tools.calibration)
    report = _search(tools, calibration, float32.plain, int8.plain, settings.max_drop)
    write_or_keep(settings.output / plot_file_name(job.name), _plot(report), settings.force, unwritten)
    return report


def _larger_calibration(job: Job, calibration: CalibrationSet | None) -> CalibrationSet:
    """Return the images that the file was calibrated with, and more where there are some.

    They are twice as many as calibrate unless the user says otherwise: 200, or four of each class.
    """
    used = len(calibration.images) if calibration else 0
    return choose_calibration(job, max(_LARGER * usual_count(len(job.card.labels)), used))


def _search(
    tools: JobTools, calibration: CalibrationSet, float32: bytes, int8: bytes, max_drop: float
) -> RepairReport:
    images, truth = _validation(tools, calibration)
    if truth is None:
        say(
            f"{tools.job.name}: no labelled validation images: repairs are judged by how probable their "
            "answers are to the float model"
        )
    request = RepairRequest(
        name=tools.job.name,
        float_model=float32,
        int8=int8,
        calibration=calibration.read,
        validation=partial(_read, images, tools.job.card),
        truth=truth,
        max_drop=max_drop,
    )
    return find_repair(request)


def _validation(
    tools: JobTools, calibration: CalibrationSet
) -> tuple[list[LabelledImage], NDArray[np.int64] | None]:
    """Return images to judge repairs by, which nothing is scored on, and their classes if they are known."""
    job = tools.job
    used = {image.path for image in calibration.images}
    # A model that has learned from validation images loses less on them than on others.
    unlearned = [] if tools.before_refit is not None else tools.validation
    unused = [image for image in unlearned if image.path not in used]
    known = order_by_turns(unused, job.card.labels, 0)
    readable = _readable(known, job.card)
    if readable:
        return readable, true_indices(readable, job.card.labels)
    scored = {image.path for image in job.images.evaluation}
    others = [image for image in job.images.calibration if image.path not in used | scored]
    return _readable(others, job.card) or calibration.images, None


def _readable(images: Sequence[LabelledImage], card: ModelCard) -> list[LabelledImage]:
    found = []
    for image in images[:_MOST_VALIDATION]:
        try:
            read_pixels(image, card.input, card.preprocess)
        except ImageError:
            continue  # It was reported when confidence was fitted.
        found.append(image)
    return found


def _read(images: Sequence[LabelledImage], card: ModelCard) -> Iterator[NDArray[np.uint8]]:
    for image in images:
        yield read_pixels(image, card.input, card.preprocess)


def _score_repairs(
    tools: JobTools,
    calibration: CalibrationSet,
    report: RepairReport,
    settings: ConversionSettings,
    outcome: ConversionOutcome,
    float32: Scored,
) -> Scored | None:
    """Score the chosen repair, and where it loses too much on these images, the repair that lost least."""
    passing = [attempt for attempt in report.attempts[1:] if attempt.passes]
    safest = min(passing, key=lambda attempt: attempt.drop, default=None)
    for attempt in dict.fromkeys([report.chosen, safest]):
        if attempt is None:
            continue
        scored = tools.fit_and_score([_make_mixed(tools, calibration, attempt)], outcome, float32)[0]
        if scored.loss is None:
            return replace(scored, estimated_loss=attempt.loss)
        if not scored.loss.is_shown_above(settings.max_drop):
            return scored
        say(
            f"{tools.job.name}: a repair that passed on validation images loses "
            f"{scored.loss} on the others: {attempt.what}"
        )
    return None


def _make_mixed(tools: JobTools, calibration: CalibrationSet, attempt: Attempt) -> Variant:
    temperature = tools.job.card.output.temperature
    details = {"repair": attempt.what, "kept_float": list(attempt.kept_float)}
    if attempt.kind == "int8":  # It passed as it was; only its input and output become float.
        flatbuffer = tools.maker.make(INT8_FLOAT_IO, temperature).plain
        return tools.maker.finish(MIXED, flatbuffer, temperature, 0.0, details)
    return tools.maker.finish(MIXED, attempt.flatbuffer, temperature, 0.0, details, calibration)


def _plot(report: RepairReport) -> bytes:
    from .repair.plot import plot_errors

    return plot_errors(report)
