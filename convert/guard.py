"""Watches what int8 loses; where that is too much, has it diagnosed, repaired, and the repair scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.results.numbers import points
from ..benchmarks.scoring.predict import read_pixels, true_indices
from ..edge.card import ModelCard
from ..edge.console import say
from ..edge.errors import ImageError
from ..edge.files import refuse_to_overwrite, require_writable, write_atomically
from ..edge.labelled import LabelledImage
from ..edge.statistics.paired import SIGNIFICANT, describe_p
from .calibration import CalibrationSet, order_by_turns
from .candidate import Candidate
from .doctor.answers import answer, drop, store_pixels
from .doctor.repair import find_repair
from .doctor.treatment import Attempt, Patient, Treatment
from .output_folder import made_folder
from .recipes import RECIPES
from .run import FLOAT32, INT8, MIXED, plot_name
from .scoring import Scored
from .sources.jobs import Job
from .workshop import Outcome, Settings, Workshop, choose_calibration, open_workshop

_INT8_FLOAT_IO = RECIPES["int8-float-io"]
_GUARDED = (INT8, _INT8_FLOAT_IO)
_ADVICE = "ship float16, or train again with other settings (see --doctor)"
# Better calibration begins with more images; beyond that ranges hardly grow.
_CALIBRATION = 200
# Their 95 % interval is about 2 points wide, and the doctor runs dozens of files over them.
_MOST_VALIDATION = 1000


def repair(
    workshop: Workshop, scored: Sequence[Scored], settings: Settings, outcome: Outcome
) -> list[Scored]:
    """Return the repaired variant, scored, where int8 loses too much or the variant was asked for; else none.

    Its diagnosis joins `outcome`, and a sentence where no repair passes.
    """
    name = workshop.job.name
    guarded = [item for item in scored if item.candidate.recipe in _GUARDED]
    if not guarded:
        return []
    worst = max(guarded, key=lambda item: item.lost or 0.0)
    too_much = round(worst.lost or 0.0, 9) > settings.max_drop
    if too_much:
        say(
            f"{name}: int8 loses {(worst.lost or 0.0) * 100:.2f} points, and --max-drop allows "
            f"{settings.max_drop * 100:g}: looking why"
        )
    elif MIXED not in settings.recipes:
        return []
    calibration = _doctors_calibration(workshop)
    float32, int8 = scored[0].candidate.plain, worst.candidate.plain
    treatment = _treat(workshop, calibration, float32, int8, settings.max_drop)
    outcome.treatments.append(treatment)
    write_atomically(settings.output / plot_name(workshop.job), _plot(treatment))
    if too_much and treatment.chosen is treatment.int8:
        outcome.unrepaired.append(_contradiction(worst, treatment))
        return []
    repaired = _score_repairs(workshop, calibration, treatment, settings, outcome)
    if repaired is None:
        outcome.unrepaired.append(
            f"{name}: no repair of int8 stays within {points(settings.max_drop)}: {_ADVICE}"
        )
        return []
    return [repaired]


def _contradiction(int8: Scored, treatment: Treatment) -> str:
    """Say that the loss on the images that count does not show on those by which repairs are judged."""
    accuracy = int8.accuracy
    chance = ""
    if accuracy is not None and accuracy.p_value is not None and accuracy.p_value >= SIGNIFICANT:
        chance = f", which may be chance ({describe_p(accuracy.p_value)})"
    return (
        f"{treatment.name}: int8 loses {(int8.lost or 0.0) * 100:.2f} points on the images that it is scored "
        f"on{chance}, and {treatment.int8.drop * 100:.2f} on {treatment.images} validation images, which "
        "call for no repair. More images to score on would tell"
    )


def estimate_losses(
    workshop: Workshop, calibration: CalibrationSet, scored: Sequence[Scored]
) -> list[Scored]:
    """Say of files that could not be scored what they probably lost; the first of them is float32.

    That is measured on images of --calibration that nothing was calibrated with, if there are any.
    """
    images, truth = _validation(workshop, calibration)
    pixels = store_pixels(_read(images, workshop.job.card))
    reference = answer(scored[0].candidate.plain, pixels)
    losses = [drop(reference, answer(item.candidate.plain, pixels), truth) for item in scored]
    return [replace(item, estimated_loss=loss) for item, loss in zip(scored, losses, strict=True)]


def examine(jobs: Sequence[Job], settings: Settings) -> list[Treatment]:
    """Diagnose each model without scoring or writing any model file; the pictures are written.

    Raises OutputExistsError when a picture is in the way, and as `convert` does.
    """
    with made_folder(settings.output):
        for job in jobs:
            refuse_to_overwrite(settings.output / plot_name(job), settings.force)
            require_writable(settings.output / plot_name(job))
        return [_examine(job, settings) for job in jobs]


def _examine(job: Job, settings: Settings) -> Treatment:
    workshop = open_workshop(job, replace(settings, recipes=(INT8,)), outcome := Outcome())
    float32, int8 = (workshop.maker.make(recipe, 1.0) for recipe in (FLOAT32, INT8))
    for file in outcome.skipped.values():
        say(f"skipped {file.reason}")
    calibration = _doctors_calibration(workshop)
    treatment = _treat(workshop, calibration, float32.plain, int8.plain, settings.max_drop)
    write_atomically(settings.output / plot_name(job), _plot(treatment))
    return treatment


def _doctors_calibration(workshop: Workshop) -> CalibrationSet:
    """Return the images that the file was calibrated with, and more where there are some."""
    assert workshop.calibration is not None
    return choose_calibration(workshop.job, max(_CALIBRATION, len(workshop.calibration.images)))


def _treat(
    workshop: Workshop, calibration: CalibrationSet, float32: bytes, int8: bytes, max_drop: float
) -> Treatment:
    images, truth = _validation(workshop, calibration)
    if truth is None:
        say(
            f"{workshop.job.name}: no labelled validation images: repairs are judged by how probable their "
            "answers are to the float model"
        )
    card = workshop.job.card
    patient = Patient(
        name=workshop.job.name,
        float_model=float32,
        int8=int8,
        calibration=calibration.read,
        validation=partial(_read, images, card),
        truth=truth,
        max_drop=max_drop,
    )
    return find_repair(patient)


def _validation(
    workshop: Workshop, calibration: CalibrationSet
) -> tuple[list[LabelledImage], NDArray[np.int64] | None]:
    """Return images to judge repairs by, which nothing is scored on, and their classes if they are known."""
    job = workshop.job
    used = {image.path for image in calibration.images}
    unused = [image for image in workshop.validation if image.path not in used]
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
            continue  # It was named when confidence was fitted.
        found.append(image)
    return found


def _read(images: Sequence[LabelledImage], card: ModelCard) -> Iterator[NDArray[np.uint8]]:
    for image in images:
        yield read_pixels(image, card.input, card.preprocess)


def _score_repairs(
    workshop: Workshop,
    calibration: CalibrationSet,
    treatment: Treatment,
    settings: Settings,
    outcome: Outcome,
) -> Scored | None:
    """Score the chosen repair, and where it fails on these images, the one that lost least before."""
    passing = [attempt for attempt in treatment.attempts[1:] if attempt.passes]
    safest = min(passing, key=lambda attempt: attempt.drop, default=None)
    for attempt in dict.fromkeys([treatment.chosen, safest]):
        if attempt is None:
            continue
        scored = workshop.fit_and_score([_candidate(workshop, calibration, attempt)], outcome)[0]
        if scored.accuracy is None:
            return replace(scored, estimated_loss=attempt.drop)
        lost = scored.lost or 0.0
        if round(lost, 9) <= settings.max_drop:
            return scored
        say(
            f"{workshop.job.name}: a repair that passed on validation images loses "
            f"{lost * 100:.2f} points on the others: {attempt.what}"
        )
    return None


def _candidate(workshop: Workshop, calibration: CalibrationSet, attempt: Attempt) -> Candidate:
    temperature = workshop.job.card.output.temperature
    details = {"repair": attempt.what, "kept_float": list(attempt.kept_float)}
    if attempt.kind == "int8":  # Nothing was wrong; only its input and output become float.
        flatbuffer = workshop.maker.make(_INT8_FLOAT_IO, temperature).plain
        return workshop.maker.finish(MIXED, flatbuffer, temperature, 0.0, details)
    flatbuffer = attempt.flatbuffer
    return workshop.maker.finish(MIXED, flatbuffer, temperature, 0.0, details, calibration)


def _plot(treatment: Treatment) -> bytes:
    from .doctor.plot import plot_errors

    return plot_errors(treatment)
