"""Models on labelled images: the accuracy of each, with intervals, and the answers that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...edge.classifier import Classifier
from ...edge.labelled import LabelledImage
from ...edge.statistics.chance import compare_with_chance
from ...edge.statistics.proportions import f1_interval, wilson_interval
from ..results.result import ChoiceAnswers, ClassScore, MeasuredAccuracy, Pairing
from .answers import ModelAnswers, NotScored, ScoredImages, answer_all, check_classes
from .labelled import LabelledData
from .pairing import choice_answers, pair_all
from .split import SkippedImage
from .statistics import (
    Counts,
    calibration_error,
    calibration_interval,
    count_answers,
    macro_f1_score,
    shares_of_unknown,
)
from .training_images import KnownSplit, TrainingOverlap, choose_split, find_overlap, hash_images

_TOP = 5


def to_accuracy(
    model: ModelAnswers,
    scored: ScoredImages,
    pairing: Pairing | None,
    overlap: TrainingOverlap | None,
    choice: ChoiceAnswers | None = None,
) -> MeasuredAccuracy:
    """Measure a model's answers; `pairing`, `overlap` and `choice` go into the record as they are."""
    images, right = len(scored.truth), model.rank == 0
    correct, within = int(right.sum()), int((model.rank < _TOP).sum())
    guess = np.where(model.guess < scored.present, model.guess, -1)
    counts = count_answers(scored.truth, guess, scored.present)
    macro_f1, macro_f1_ci95 = macro_f1_score(scored.truth, guess, counts, counts.support > 0)
    chance = compare_with_chance(scored.truth, guess)
    unknown = None if model.unknown is None else shares_of_unknown(model.unknown, right)
    return MeasuredAccuracy(
        data=scored.data,
        images=images,
        skipped=scored.skipped,
        outputs=model.outputs,
        top1=correct / images,
        top1_ci95=wilson_interval(correct, images),
        top5=within / images,
        top5_ci95=wilson_interval(within, images),
        macro_f1=macro_f1,
        macro_f1_ci95=macro_f1_ci95,
        ece=calibration_error(model.confidence, right),
        ece_ci95=calibration_interval(model.confidence, right),
        classes=_class_scores(counts, scored.labels[: scored.present]),
        pairing=pairing,
        training_images=overlap.training if overlap else None,
        training_examples=overlap.examples if overlap else (),
        validation_images=overlap.validation if overlap else None,
        own_split=overlap.own if overlap else None,
        choice=choice,
        chance=chance.expected,
        above_chance_p=chance.p_value,
        unknown=unknown.images if unknown else None,
        lost_to_unknown=unknown.right if unknown else None,
    )


def _class_scores(counts: Counts, labels: Sequence[str]) -> tuple[ClassScore, ...]:
    rates = zip(counts.precision, counts.recall, counts.f1, strict=True)
    numbers = zip(counts.right.tolist(), counts.support.tolist(), counts.predicted.tolist(), strict=True)
    return tuple(
        ClassScore(
            label=label,
            support=support,
            precision=float(precision),
            precision_ci95=wilson_interval(right, predicted),
            recall=float(recall),
            recall_ci95=wilson_interval(right, support),
            f1=float(f1),
            f1_ci95=f1_interval(right, support, predicted),
        )
        for label, (precision, recall, f1), (right, support, predicted) in zip(
            labels, rates, numbers, strict=True
        )
    )


@dataclass(frozen=True)
class Scores:
    """An outcome for each model, in order, and the images that could not be read."""

    outcomes: tuple[MeasuredAccuracy | NotScored, ...]
    skipped: tuple[SkippedImage, ...]


def score(
    models: Sequence[Classifier | NotScored],
    data: LabelledData,
    splits: Sequence[KnownSplit] = (),
    base: int | None = None,
) -> Scores:
    """Measure the accuracy of all models on the same images, on every core.

    Models may list their labels in different orders, and know classes of which there are no images: macro
    F1 is over the classes with images, and any other answer is wrong. Each model is
    paired with model number `base`, or with the base that `choose_bases` names among the scored models. Its
    answers to the validation images of `data`, or else to the scored images, are kept for a recommendation.
    `splits` come from `find_splits`. A model that cannot be run, or does not know a class of the images,
    is a NotScored, and stops no other. Raises DatasetError when none of the images can be read.
    """
    checked = [check_classes(model, data.images) for model in models]
    if all(isinstance(model, NotScored) for model in checked):
        return Scores(tuple(model for model in checked if isinstance(model, NotScored)), ())
    tested = answer_all(checked, data, "scoring")
    ran, scored = tested.models, tested.scored
    pairings = pair_all(ran, scored, base)
    overlaps = _find_overlaps(ran, splits, scored, tested.images)
    choices = choice_answers(tested, data, _without_failed(checked, ran), base)
    outcomes = [
        to_accuracy(model, scored, pairing, found, choice) if isinstance(model, ModelAnswers) else model
        for model, pairing, found, choice in zip(ran, pairings, overlaps, choices, strict=True)
    ]
    return Scores(tuple(outcomes), tuple(tested.skipped))


def _without_failed(
    models: Sequence[Classifier | NotScored], ran: Sequence[ModelAnswers | NotScored]
) -> list[Classifier | NotScored]:
    """Return the models, those that could not be run as what came of them."""
    return [
        found if isinstance(found, NotScored) else model for model, found in zip(models, ran, strict=True)
    ]


def _find_overlaps(
    models: Sequence[ModelAnswers | NotScored],
    splits: Sequence[KnownSplit],
    scored: ScoredImages,
    images: Sequence[LabelledImage],
) -> list[TrainingOverlap | None]:
    """Return the overlap with each model's training images; None where its split is not known."""
    chosen = [choose_split(m.card, splits) if isinstance(m, ModelAnswers) else None for m in models]
    if not any(chosen):  # Hashing takes as long as reading.
        return [None] * len(models)
    hashed = list(zip(scored.names, hash_images(images), strict=True))
    return [find_overlap(*found, hashed) if found else None for found in chosen]
