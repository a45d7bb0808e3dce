"""The tables of the report, computed from the evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.scoring.split import SUBSETS, Split
from ..benchmarks.scoring.statistics import Metrics
from ..edge.statistics.paired import SIGNIFICANT, McNemar, mcnemar

MAX_PAIRS = 20


class Judged(Protocol):
    """Answers to some images: their metrics, and whether each is right, bool [images]."""

    @property
    def metrics(self) -> Metrics:
        """The figures."""
        ...

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each answer is right; two models that are compared have the images in one order."""
        ...


@dataclass(frozen=True)
class ClassCell:
    """The rates of a model on one class; None where the denominator is 0."""

    f1: float | None
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class ClassRow:
    """One class: its images in each of SUBSETS and those measured on, and the rates of each model."""

    label: str
    images: tuple[int, ...]
    measured: int
    models: tuple[ClassCell, ...]


@dataclass(frozen=True)
class ConfusedPair:
    """`count` images of `true` were classified as `predicted`; `share` is of the images of the class."""

    true: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True)
class PairedTest:
    """The most accurate model against another on the same images; `chance`: the difference may be chance."""

    best: str
    other: str
    result: McNemar
    chance: bool


def class_rows(split: Split, metrics: Sequence[Metrics]) -> list[ClassRow]:
    """Return a row for each class; the lowest F1, averaged over the models, comes first.

    `metrics` are those of each model. Classes without images to measure on come last, because their recall is
    unknown.
    """
    counts = split.counts()
    rows = [
        ClassRow(
            label,
            tuple(counts[subset][label] for subset in SUBSETS),
            metrics[0].classes[number].support,
            tuple(_class_cell(of_model, number) for of_model in metrics),
        )
        for number, label in enumerate(split.labels)
    ]
    return sorted(
        rows, key=lambda row: (row.models[0].recall is None, sum(cell.f1 or 0 for cell in row.models))
    )


def _class_cell(metrics: Metrics, number: int) -> ClassCell:
    row = metrics.classes[number]
    answers = sum(counts[number] for counts in metrics.confusion)
    return ClassCell(
        f1=row.f1 if row.support or answers else None,
        precision=row.precision if answers else None,
        recall=row.recall if row.support else None,
    )


def most_confused(metrics: Metrics, limit: int = MAX_PAIRS) -> list[ConfusedPair]:
    """Return the pairs of classes with the most wrong answers, and of equal ones the larger share first."""
    counts = np.array(metrics.confusion)
    support = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    labels = [row.label for row in metrics.classes]
    pairs = [
        ConfusedPair(labels[i], labels[j], int(counts[i, j]), float(counts[i, j] / support[i]))
        for i, j in zip(*np.nonzero(counts), strict=True)
    ]
    return sorted(pairs, key=lambda pair: (-pair.count, -pair.share))[:limit]


def paired_tests(named: Sequence[tuple[str, Judged]]) -> list[PairedTest]:
    """Test the most accurate model against each of the others, by McNemar's exact test.

    The level of 5 % is divided by the number of tests (Bonferroni), because one of many tests is likely to
    succeed by chance.
    """
    ranked = sorted(named, key=lambda pair: -pair[1].metrics.accuracy)
    tests = []
    for name, evaluation in ranked[1:]:
        result = mcnemar(ranked[0][1].right, evaluation.right)
        chance = result.p_value >= SIGNIFICANT / (len(ranked) - 1)
        tests.append(PairedTest(ranked[0][0], name, result, chance))
    return tests
