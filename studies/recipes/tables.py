"""What recipes reach, and by how much they differ, as Markdown tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist, mean, median

import click
import numpy as np
from edge_classify.benchmarks.scoring.statistics import expected_calibration_error, measure
from numpy.typing import NDArray

from studies.image_units import UnitRule, image_units
from studies.pooled_difference import Difference, SetAnswers, pooled_difference
from studies.recipes.trial import Recipe, Trial

_PRECISION = 0.95

Figure = Callable[[Trial], NDArray[np.bool_] | NDArray[np.float64]]
"""From a trial to a number of each photo, [photos]."""


def calibration_p(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """Return the p-value that the confidences are right.

    D. Spiegelhalter, Statistics in Medicine 5 (1986) 421: with x = 1 for a right answer of confidence p, and
    0 for a wrong one, z = sum (x - p)(1 - 2p) / sqrt(sum (1 - 2p)^2 p (1 - p)) is standard normal where
    confidences are right. `probabilities` are float32 [photos, classes]. 1 where no answer can be wrong by
    its confidence.
    """
    sure = probabilities.max(1).astype(np.float64).clip(0, 1)
    right = probabilities.argmax(1) == truth
    variance = ((1 - 2 * sure) ** 2 * sure * (1 - sure)).sum()
    if not variance:
        return 1.0
    z = ((right - sure) * (1 - 2 * sure)).sum() / variance**0.5
    return 2 * NormalDist().cdf(-abs(float(z)))


def coverage_at(probabilities: NDArray[np.float32], truth: NDArray[np.int64], precision: float) -> float:
    """Return the largest share of photos, the surest first, of which `precision` are answered rightly."""
    order = np.argsort(-probabilities.max(1), kind="stable")
    right = (probabilities.argmax(1) == truth)[order]
    shares = np.cumsum(right) / np.arange(1, len(right) + 1)
    enough = np.flatnonzero(shares >= precision)
    return float((enough[-1] + 1) / len(right)) if len(enough) else 0.0


def print_tables(trials: Sequence[Trial], recipes: Sequence[Recipe], units: Mapping[str, UnitRule]) -> None:
    """Print what each recipe reaches, pooled and on each set, and the differences from the first one."""
    names = list(dict.fromkeys(trial.set_name for trial in trials))
    click.echo(
        "| recipe | set | int8 top-1 | float32 top-1 | macro F1 | ECE | calibration p | "
        f"coverage at {_PRECISION:.0%} | answered | of these right | seconds | peak GB |"
    )
    click.echo("|---" * 12 + "|")
    for recipe in recipes:
        of_sets = [[t for t in trials if (t.recipe, t.set_name) == (recipe.name, name)] for name in names]
        for name, own in zip(names, of_sets, strict=True):
            click.echo(_row(recipe.name, name, [own]))
        if len(names) > 1:
            click.echo(_row(f"**{recipe.name}**", "all", of_sets))
    if len(recipes) > 1:
        title = f"int8 top-1 less that of {recipes[0].name}, points"
        _print_differences(title, trials, recipes, units, lambda trial: trial.right, 100.0)
        title = f"log loss of float32 less that of {recipes[0].name}, nats x 100"
        _print_differences(title, trials, recipes, units, lambda trial: trial.log_loss, 100.0)


def _print_differences(
    title: str,
    trials: Sequence[Trial],
    recipes: Sequence[Recipe],
    units: Mapping[str, UnitRule],
    figure: Figure,
    factor: float,
) -> None:
    """Print by how much a figure of each photo differs from that of the first recipe, times `factor`."""
    names = list(dict.fromkeys(trial.set_name for trial in trials))
    click.echo(f"\n| {title} | {' | '.join(names)} | all |")
    click.echo("|---" * (len(names) + 2) + "|")
    for recipe in recipes[1:]:
        pairs = [_pair(name, trials, recipes[0], recipe, units, figure) for name in names]
        found = pooled_difference(pairs)
        cells = [_difference(each, factor) for each in (*(found.sets[name] for name in names), found.pooled)]
        click.echo(f"| {recipe.name} | {' | '.join(cells)} |")


def _pair(
    name: str,
    trials: Sequence[Trial],
    first: Recipe,
    recipe: Recipe,
    units: Mapping[str, UnitRule],
    figure: Figure,
) -> SetAnswers:
    ours, theirs = (
        [trial for trial in trials if (trial.recipe, trial.set_name) == (each.name, name)]
        for each in (recipe, first)
    )
    paths = ours[0].paths
    if any(trial.paths != paths for trial in (*ours, *theirs)):
        raise click.ClickException(f"{name}: the trials have answered different photos")
    figures = [np.stack([figure(trial).astype(np.float64) for trial in group]) for group in (ours, theirs)]
    return SetAnswers(name, figures[0], figures[1], image_units(units, name, paths))


def _row(recipe: str, name: str, of_sets: Sequence[Sequence[Trial]]) -> str:
    """Return the means of the trials of each set, and the means of these over the sets."""
    cells = [_cells(own) for own in of_sets]
    top1, float_top1, f1, ece, coverage, answered, precision = (
        mean(values) for values in zip(*(cell[:7] for cell in cells), strict=True)
    )
    p = min(cell[7] for cell in cells)
    seconds, peak = (mean(cell[place] for cell in cells) for place in (8, 9))
    return (
        f"| {recipe} | {name} | {top1:.1%} | {float_top1:.1%} | {f1:.1%} | {ece:.1%} | {p:.3f} | "
        f"{coverage:.1%} | {answered:.1%} | {precision:.1%} | {seconds:.0f} | {peak:.1f} |"
    )


def _cells(trials: Sequence[Trial]) -> tuple[float, ...]:
    """Return the figures of a recipe on a set: means over its seeds; of p-values and seconds, the median."""
    labels = tuple(map(str, range(trials[0].int8.shape[1])))
    answered = [trial.int8.max(1) >= (trial.threshold or 0.0) for trial in trials]
    precision = [t.right[a].mean() if a.any() else 1.0 for t, a in zip(trials, answered, strict=True)]
    return (
        mean(float(trial.right.mean()) for trial in trials),
        mean(float(trial.float_right.mean()) for trial in trials),
        mean(measure(trial.int8, trial.truth, labels).macro_f1 for trial in trials),
        mean(expected_calibration_error(trial.int8, trial.truth) for trial in trials),
        mean(coverage_at(trial.int8, trial.truth, _PRECISION) for trial in trials),
        mean(float(each.mean()) for each in answered),
        mean(map(float, precision)),
        median(calibration_p(trial.int8, trial.truth) for trial in trials),
        median(trial.seconds for trial in trials),
        mean(trial.peak for trial in trials) / 1e9,
    )


def _difference(found: Difference, factor: float) -> str:
    low, high = found.interval
    return f"{found.mean * factor:+.1f} ({low * factor:+.1f} to {high * factor:+.1f})"
