"""One run of edge-convert: models in, scored .tflite files out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..benchmarks.measuring.plan import CheckedModel, ModelRun, Plan
from ..benchmarks.measuring.turns import measure, steps
from ..benchmarks.results.origin import describe_origin
from ..benchmarks.results.result import Failure, Result
from ..benchmarks.results.tables import worst_of_each_kind
from ..benchmarks.scoring.choice import RightAnswers
from ..benchmarks.scoring.loss import Loss
from ..benchmarks.scoring.predict import top1_agreement
from ..edge.console import say
from ..edge.errors import OptionError
from ..edge.progress import progress
from ..edge.runtime import Execution
from ..edge.tflite.sealing import seal
from .int8_loss import estimate_losses, repair_int8
from .job_tools import ConversionOutcome, ConversionSettings, JobTools, open_job_tools
from .output import (
    Converted,
    TimedInference,
    check_writable,
    made_folder,
    model_file_name,
    plot_file_name,
    read_summary,
    write_or_keep,
    write_summary,
)
from .reading_check import check_reading
from .recipes import FLOAT32, INT8, MIXED, Recipe
from .scoring import Scored
from .signatures import signed
from .sources.job import Job

_TIMED_RUNS = 100
_SAME_ANSWERS = 0.999  # Float sums in another order change ties only.


def convert(jobs: Sequence[Job], settings: ConversionSettings, source: str) -> ConversionOutcome:
    """Convert every job by every recipe, score the files, and write them to the output folder.

    The files of a model are written after all of them were scored. conversion.json lies beside them, in which
    `source` names the input. Raises ConversionError, CardError, DatasetError, OptionError and
    OutputExistsError.
    """
    outcome = ConversionOutcome()
    names = [model_file_name(job.name, recipe) for job in jobs for recipe in settings.recipes]
    with made_folder(settings.output):
        check_writable(settings.output, names, settings.force)
        summary = read_summary(settings.output)
        summary["source"] = source
        summary["files"] = [item for item in summary["files"] if item["file"] not in names]
        _check_repairs(jobs, settings)
        _check_golden(jobs, settings)
        for job in jobs:
            made = _convert_job(job, settings, outcome)
            outcome.files += made
            written = {item.file for item in made}
            kept = [item for item in summary["files"] if item["file"] not in written]
            summary["files"] = [*kept, *(item.to_json() for item in made)]
            summary["doctor"] |= {report.name: report.to_json() for report in outcome.repairs}
            write_summary(settings.output, summary, outcome.unwritten)
    for file in outcome.skipped.values():
        say(f"skipped {file.reason}")
    if settings.signer is not None:
        settings.signer.tell()
    return outcome


def _check_repairs(jobs: Sequence[Job], settings: ConversionSettings) -> None:
    """Check that the files of a repair can be written, before hours of work."""
    if any(recipe.activations == "int8" for recipe in settings.recipes):
        names = [
            name for job in jobs for name in (model_file_name(job.name, MIXED), plot_file_name(job.name))
        ]
        check_writable(settings.output, names, settings.force)


def _check_golden(jobs: Sequence[Job], settings: ConversionSettings) -> None:
    """Raise OptionError where photos are asked for and there are none."""
    for job in jobs:
        if settings.golden_photos and not job.images.evaluation and not job.images.calibration:
            raise OptionError(
                f"{job.name}: --golden photos finds none. Name some with --data or --calibration, or leave "
                "--golden out: drawn patterns need none"
            )


def _convert_job(job: Job, settings: ConversionSettings, outcome: ConversionOutcome) -> list[Converted]:
    tools = open_job_tools(job, settings, outcome)
    variants = []
    for recipe in _to_make(settings.recipes):
        say(f"{job.name}: converting to {recipe.name}")
        variants.append(tools.maker.make(recipe, job.card.output.temperature))
    scored = tools.fit_and_score(variants, outcome)
    if tools.calibration is not None and not job.images.evaluation:
        scored = estimate_losses(tools, tools.calibration, scored)
    _warn_of_conversion(job, scored[0])
    check_reading(job, scored[0], outcome)
    wanted = [item for item in scored if item.variant.recipe in settings.recipes]
    if tools.calibration is not None:
        wanted += repair_int8(tools, tools.calibration, scored, settings, outcome)
    if any(item.validation is None for item in wanted):  # Files are compared on the same images.
        wanted = [replace(item, validation=None) for item in wanted]
    written = [_write(tools, item, scored[0], settings, outcome) for item in wanted]
    made = [item for item in written if item is not None]
    return _with_latencies(made, settings.output, job.name)


def _warn_of_conversion(job: Job, float32: Scored) -> None:
    """Report that the float32 file already differs from its model: quantizing is not the cause."""
    agreement = float32.accuracy.float_agreement if float32.accuracy else None
    if agreement is not None and agreement < _SAME_ANSWERS:
        say(
            f"{job.name}: the float32 file answers {1 - agreement:.2%} of images otherwise than the model "
            "that it was made from: converting changed it, before any quantizing"
        )


def _with_latencies(made: Sequence[Converted], output: Path, name: str) -> list[Converted]:
    """Measure the files in turn, each in a separate process."""
    if not made:
        return []
    model_runs = tuple(ModelRun(CheckedModel.read(output / item.file), Execution()) for item in made)
    plan = Plan(model_runs, runs=_TIMED_RUNS, processes=1, yardstick=False)
    with progress(f"timing {name}", steps(plan), "files") as advance:
        # The results are not kept: there is no need to ask git for a commit.
        measured = measure(plan, advance, describe_origin(ask_git=False))
    done = []
    for item, found in zip(made, measured, strict=True):
        if isinstance(found, Failure):
            say(f"{item.file} could not be timed: {found.error}")
            done.append(item)
        else:
            done.append(replace(item, latency=_latency(found)))
    _warn_of_disturbances(name, [found for found in measured if isinstance(found, Result)])
    return done


def _warn_of_disturbances(name: str, measured: Sequence[Result]) -> None:
    """Report what disturbed the times, except that they are unsteady: so few runs always are."""
    caveats = worst_of_each_kind(caveat for one in measured for caveat in one.conditions.warnings)
    for kind, caveat in caveats.items():
        if kind != "unsteady":
            say(f"{name}: {caveat.text}")


def _latency(found: Result) -> TimedInference:
    peak = found.memory.peak if found.memory else None
    return TimedInference(found.latency.median_ms, found.latency.p99_ms, peak)


def _to_make(wanted: Sequence[Recipe]) -> list[Recipe]:
    """Return float32 first, which separates the changes by conversion from those by quantizing."""
    others = [recipe for recipe in wanted if recipe not in (FLOAT32, MIXED)]
    if MIXED in wanted and INT8 not in others:
        others.append(INT8)  # The variant mixed repairs it.
    return [FLOAT32, *others]


def _write(
    tools: JobTools, item: Scored, float32: Scored, settings: ConversionSettings, outcome: ConversionOutcome
) -> Converted | None:
    """Write a file; None where it could not be written, which `outcome` says."""
    variant, scorer = item.variant, tools.scorer
    name = model_file_name(tools.job.name, variant.recipe)
    golden = tools.choose_golden(variant)
    if golden.hidden:
        say(f"{name}: {golden.describe_hidden()}")
    sealed = seal(variant.flatbuffer, replace(variant.card, accuracy=item.accuracy), golden.examples)
    sealed = signed(sealed, name, settings.signer)
    if not write_or_keep(settings.output / name, sealed, settings.force, outcome.unwritten):
        return None
    agreement = difference = None
    if item.answers is not None and float32.answers is not None:
        agreement = top1_agreement(item.answers.probabilities, float32.answers.probabilities)
        difference = item.answers.accuracy.top1 - float32.answers.accuracy.top1
    return Converted(
        file=name,
        model=tools.job.name,
        variant=variant.recipe.name,
        size_bytes=len(sealed),
        convert_seconds=round(variant.seconds, 2),
        output=variant.card.output,
        accuracy=item.accuracy,
        reference_top1=scorer.reference_top1,
        float32_agreement=agreement,
        float32_difference=difference,
        estimated_loss=item.estimated_loss,
        loss=item.loss,
        latency=None,
        signer=settings.signer,
        answers=_choice_answers(tools, item, float32),
    )


def _choice_answers(tools: JobTools, item: Scored, float32: Scored) -> RightAnswers | None:
    """Return the answers that a file is chosen by: to validation images, or else to the scored ones."""
    mine, theirs, images = item.validation, float32.validation, tools.job.images
    if mine is not None and theirs is not None:
        data, right, model_right = images.validated_with, mine.right, theirs.right
    elif (scored_right := tools.scorer.right(item)) is not None:
        data, right, model_right = images.dataset, scored_right, tools.scorer.reference_right
    else:
        return None
    loss = item.loss
    return RightAnswers(
        data=data,
        apart=data != images.dataset and not tools.scores_validation,
        file=right,
        float_model=None if item is float32 else model_right,
        differing=loss.differing if isinstance(loss, Loss) else 0,
        compared=loss.compared if isinstance(loss, Loss) else 0,
    )
