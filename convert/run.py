"""One run of edge-convert: models in, scored .tflite files out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..benchmarks.measuring.plan import CheckedModel, ModelRun, Plan
from ..benchmarks.measuring.turns import measure, steps
from ..benchmarks.results.result import Failure, Result
from ..benchmarks.results.tables import worst_of_each_kind
from ..benchmarks.scoring.predict import top1_agreement
from ..edge.console import say
from ..edge.files import refuse_to_overwrite, require_writable, write_atomically
from ..edge.progress import progress
from ..edge.runtime import Execution
from ..edge.tflite.sealing import seal
from .converted import Converted, Latency
from .output_folder import check_output, made_folder, write_summary
from .recipes import RECIPES, Recipe
from .scoring import Scored
from .sources.jobs import Job
from .workshop import Outcome, Settings, Workshop, open_workshop

_TIMED_RUNS = 100
_SAME_ANSWERS = 0.999  # Float sums in another order turn only ties.
FLOAT32, INT8, MIXED = RECIPES["float32"], RECIPES["int8"], RECIPES["mixed"]


def convert(jobs: Sequence[Job], settings: Settings, source: str) -> Outcome:
    """Convert every job by every recipe, score the files, and write them to the output folder.

    The files of a model are written when all of them were scored, with conversion.json beside them, in
    which `source` names what was converted. Raises ConversionError, CardError, DatasetError and
    OutputExistsError.
    """
    outcome = Outcome()
    names = [_file_name(job, recipe) for job in jobs for recipe in settings.recipes]
    with made_folder(settings.output):
        summary = check_output(settings.output, names, settings.force)
        summary["source"] = source
        _check_repairs(jobs, settings)
        for job in jobs:
            made = _convert_job(job, settings, outcome)
            outcome.files += made
            written = {item.file for item in made}
            kept = [item for item in summary["files"] if item["file"] not in written]
            summary["files"] = [*kept, *(item.to_json() for item in made)]
            summary["doctor"] |= {found.name: found.to_json() for found in outcome.treatments}
            write_summary(settings.output, summary)
    for file in outcome.skipped.values():
        say(f"skipped {file.reason}")
    return outcome


def _check_repairs(jobs: Sequence[Job], settings: Settings) -> None:
    """Check that what a repair would write can be written, before hours of work."""
    if not any(recipe.activations == "int8" for recipe in settings.recipes):
        return
    for job in jobs:
        for name in (_file_name(job, MIXED), plot_name(job)):
            refuse_to_overwrite(settings.output / name, settings.force)
            require_writable(settings.output / name)


def plot_name(job: Job) -> str:
    """Return the name of the doctor's picture of a model."""
    return f"{job.name}_doctor.png"


def _convert_job(job: Job, settings: Settings, outcome: Outcome) -> list[Converted]:
    workshop = open_workshop(job, settings, outcome)
    candidates = []
    for recipe in _to_make(settings.recipes):
        say(f"{job.name}: converting to {recipe.name}")
        candidates.append(workshop.maker.make(recipe, job.card.output.temperature))
    scored = workshop.fit_and_score(candidates, outcome)
    if workshop.calibration is not None and not job.images.evaluation:
        from .guard import estimate_losses

        scored = estimate_losses(workshop, workshop.calibration, scored)
    _warn_of_conversion(job, scored[0])
    wanted = [item for item in scored if item.candidate.recipe in settings.recipes]
    if workshop.calibration is not None:
        from .guard import repair

        wanted += repair(workshop, scored, settings, outcome)
    made = [_write(workshop, item, scored[0], settings.output) for item in wanted]
    return _with_latencies(made, settings.output, job.name)


def _warn_of_conversion(job: Job, float32: Scored) -> None:
    """Say where the float32 file already answers otherwise than its model: quantizing is not to blame."""
    agreement = float32.accuracy.float_agreement if float32.accuracy else None
    if agreement is not None and agreement < _SAME_ANSWERS:
        say(
            f"{job.name}: the float32 file answers {1 - agreement:.2%} of images otherwise than the model "
            "that it was made from: converting changed it, before any quantizing"
        )


def _with_latencies(made: Sequence[Converted], output: Path, name: str) -> list[Converted]:
    """Measure the files, each in a process of its own, in turn."""
    model_runs = tuple(ModelRun(CheckedModel.read(output / item.file), Execution()) for item in made)
    plan = Plan(model_runs, runs=_TIMED_RUNS, processes=1, yardstick=False)
    with progress(f"timing {name}", steps(plan), "files") as advance:
        measured = measure(plan, advance)
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
    """Say what makes the times less than they seem; that so few runs are noisy goes without saying."""
    caveats = worst_of_each_kind(caveat for one in measured for caveat in one.conditions.warnings)
    for kind, caveat in caveats.items():
        if kind != "unsteady":
            say(f"{name}: {caveat.text}")


def _latency(found: Result) -> Latency:
    peak = found.memory.peak if found.memory else None
    return Latency(found.latency.median_ms, found.latency.p99_ms, peak)


def _to_make(wanted: Sequence[Recipe]) -> list[Recipe]:
    """Return float32 first, which tells what conversion changed from what quantizing did, then the others."""
    others = [recipe for recipe in wanted if recipe not in (FLOAT32, MIXED)]
    if MIXED in wanted and INT8 not in others:
        others.append(INT8)  # It is what mixed repairs.
    return [FLOAT32, *others]


def _write(workshop: Workshop, item: Scored, float32: Scored, output: Path) -> Converted:
    candidate, scorer = item.candidate, workshop.scorer
    others = workshop.calibration.images if workshop.calibration else []
    golden = scorer.golden(item, others)
    sealed = seal(candidate.flatbuffer, replace(candidate.card, accuracy=item.accuracy), golden)
    name = _file_name(workshop.job, candidate.recipe)
    write_atomically(output / name, sealed)
    agreement = difference = None
    if item.accuracy is not None and float32.accuracy is not None:
        assert item.probabilities is not None and float32.probabilities is not None
        agreement = top1_agreement(item.probabilities, float32.probabilities)
        difference = item.accuracy.top1 - float32.accuracy.top1
    return Converted(
        file=name,
        model=workshop.job.name,
        variant=candidate.recipe.name,
        size_bytes=len(sealed),
        convert_seconds=round(candidate.seconds, 2),
        output=candidate.card.output,
        accuracy=item.accuracy,
        reference_top1=scorer.reference_top1,
        float32_agreement=agreement,
        float32_difference=difference,
        estimated_loss=item.estimated_loss,
        latency=None,
    )


def _file_name(job: Job, recipe: Recipe) -> str:
    return f"{job.name}_{recipe.name}.tflite"
