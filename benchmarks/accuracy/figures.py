"""The figures of one model's answers, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...edge.proportions import wilson_interval
from ..results.sections import Accuracy, ClassScore, Pairing
from ..statistics import (
    Counts,
    calibration_error,
    calibration_interval,
    count_answers,
    f1_interval,
    macro_f1_score,
)
from .answers import ModelAnswers, ScoredImages
from .training import Seen

_TOP = 5


def to_accuracy(
    model: ModelAnswers, scored: ScoredImages, pairing: Pairing | None, seen: Seen | None
) -> Accuracy:
    """Measure a model's answers; `pairing` and `seen` go into the record as they are."""
    images, right = len(scored.truth), model.rank == 0
    correct, within = int(right.sum()), int((model.rank < _TOP).sum())
    guess = np.where(model.guess < scored.present, model.guess, -1)
    counts = count_answers(scored.truth, guess, scored.present)
    macro_f1, macro_f1_ci95 = macro_f1_score(scored.truth, guess, counts, counts.support > 0)
    return Accuracy(
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
        training_images=seen.training if seen else None,
        training_examples=seen.examples if seen else (),
        validation_images=seen.validation if seen else None,
        own_split=seen.own if seen else None,
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
