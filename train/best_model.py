"""What the report says before anything else: which model, how right it is, what is wrong, what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..benchmarks.scoring.statistics import ClassMetrics, Metrics
from ..edge.next_step import quoted
from ..edge.statistics.chance import Standing, against_chance, describe_chance
from .output import resume_command
from .report_tables import PairedTest


@dataclass(frozen=True)
class BestModel:
    """The most accurate model, and what follows.

    Attributes:
        model: its name.
        metrics: its figures.
        measured_on: the images, such as "360 test images".
        at_chance: how often it is right, where that is no more often than by chance; else "".
        untold: the same, where too few images tell; else "".
        shown: comparisons with other models in which it is more often right by more than chance.
        unshown: those in which the difference could be chance.
        weakest: the class of which it finds the smallest share; None where it finds all.
        step: what to do next, a sentence; `command` is what to type for it, "" for nothing.
    """

    model: str
    metrics: Metrics
    measured_on: str
    at_chance: str
    untold: str
    shown: tuple[PairedTest, ...]
    unshown: tuple[PairedTest, ...]
    weakest: ClassMetrics | None
    step: str
    command: str


def find_best_model(
    best: str, metrics: Metrics, measured_on: str, tests: Sequence[PairedTest], run: Path, interrupted: bool
) -> BestModel:
    """Return what to say about `best`, the most accurate model of a run, which `tests` compare with others.

    `interrupted`: the run can be resumed.
    """
    standing = against_chance(metrics)
    useless = standing is Standing.NOT_BETTER
    step, command = _next_step(run, useless, interrupted)
    return BestModel(
        model=best,
        metrics=metrics,
        measured_on=measured_on,
        at_chance=describe_chance(metrics) if useless else "",
        untold=describe_chance(metrics) if standing is Standing.UNTOLD else "",
        shown=tuple(test for test in tests if not test.chance),
        unshown=tuple(test for test in tests if test.chance),
        weakest=_weakest(metrics),
        step=step,
        command=command,
    )


def _next_step(run: Path, useless: bool, interrupted: bool) -> tuple[str, str]:
    if interrupted:
        return "Finish the training, which was interrupted:", resume_command(run)
    if useless:
        return (
            "Do not ship it. See below whether the labels are right (Mistakes, Audit). If they are, train "
            "with more images, or longer (--preset best).",
            "",
        )
    return (
        "Make the files that devices run, and see what each loses:",
        f"edge-convert {quoted(run)} --output {quoted(run.parent / 'models')}",
    )


def _weakest(metrics: Metrics) -> ClassMetrics | None:
    missed = [row for row in metrics.classes if row.support and row.recall < 1]
    return min(missed, key=lambda row: (row.recall, -row.support), default=None)
