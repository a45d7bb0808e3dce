"""What the methods reach, and by how much they differ from the default, as Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields
from statistics import mean

import click
import numpy as np

from studies.pooled_difference import Difference, SetAnswers, pooled_difference
from studies.small_classes.methods import Method
from studies.small_classes.trials import Case, Figures, Results

_TITLES = {
    "f1": "F1 of the class",
    "recall": "its recall",
    "macro_f1": "macro F1",
    "others": "others right",
    "log_loss": "log loss x 100",
    "calibration": "ECE",
}


def print_tables(results: Results, methods: Sequence[Method], seeds: int) -> None:
    """Print the means, the differences from the first method, and those of F1 by set and by images."""
    first = methods[0].name
    click.echo(f"| method | {' | '.join(_TITLES.values())} |\n{'|---' * (len(_TITLES) + 1)}|")
    for method in methods:
        own = [figures for (_, name), figures in results.items() if name == method.name]
        means = (100 * mean(values) for values in zip(*map(astuple, own), strict=True))
        click.echo(f"| {method.name} | {' | '.join(f'{value:.1f}' for value in means)} |")

    click.echo(f"\n| less {first}, points | {' | '.join(_TITLES.values())} |\n{'|---' * (len(_TITLES) + 1)}|")
    cases = sorted({case for case, _ in results}, key=lambda case: (*astuple(case),))
    for method in methods[1:]:
        cells = [_all(cases, results, method.name, first, field.name, seeds)[0] for field in fields(Figures)]
        click.echo(f"| {method.name} | {' | '.join(cells)} |")

    names = list(dict.fromkeys(case.set_name for case in cases))
    counts = sorted({case.images for case in cases})
    heads = [*names, *(f"{count} images" for count in counts)]
    for figure in ("f1", "macro_f1"):
        click.echo(
            f"\n| {_TITLES[figure]} less {first} | {' | '.join(heads)} |\n{'|---' * (len(heads) + 1)}|"
        )
        for method in methods[1:]:
            of_sets = _all(cases, results, method.name, first, figure, seeds)[1:]
            of_counts = [
                _all([c for c in cases if c.images == n], results, method.name, first, figure, seeds)[0]
                for n in counts
            ]
            click.echo(f"| {method.name} | {' | '.join([*of_sets, *of_counts])} |")


def _all(
    cases: Sequence[Case], results: Results, method: str, first: str, figure: str, seeds: int
) -> list[str]:
    """Return the difference over all sets, which have the same weight, and of each set.

    The unit of the interval is a class of a set.
    """
    names = list(dict.fromkeys(case.set_name for case in cases))
    answers = [
        _answers([c for c in cases if c.set_name == name], results, method, first, figure, seeds)
        for name in names
    ]
    found = pooled_difference(answers)
    return [_shown(each) for each in (found.pooled, *(found.sets[name] for name in names))]


def _answers(
    cases: Sequence[Case], results: Results, method: str, first: str, figure: str, seeds: int
) -> SetAnswers:
    """Return a figure of both methods for each class and number of images of one set, [seeds, these]."""
    tasks = [case for case in cases if case.seed == 0]
    ours, theirs = (
        np.array(
            [
                [
                    getattr(results[Case(task.set_name, task.label, task.images, seed), name], figure)
                    for task in tasks
                ]
                for seed in range(seeds)
            ]
        )
        for name in (method, first)
    )
    return SetAnswers(tasks[0].set_name, ours, theirs, [task.label for task in tasks])


def _shown(found: Difference) -> str:
    low, high = (100 * end for end in found.interval)
    return f"{100 * found.mean:+.1f} ({low:+.1f} to {high:+.1f})"
