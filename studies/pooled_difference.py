"""By how much one recipe is better than another over several sets, with the interval that units allow.

    answers = SetAnswers("trash", ours, theirs, units)     # [seeds, images] each; the unit of each image
    difference = pooled_difference([answers, ...])
    difference.pooled.mean, difference.pooled.interval     # 0.031, (0.012, 0.050): ours is better

Every set has the same weight: a set stands for a task, and with a weight for every image the largest set
would decide alone. The interval is that of new units and new trainings on the same sets; it says nothing of
sets that are not there.

Figures of an image are averaged over the seeds. Then units are drawn anew, within each set, with all of their
images: photos of one object are right or wrong together, and an interval that took them for independent
would be too narrow. Of U units, U - 1 are drawn with replacement, which makes the variance unbiased where
units are few: J. N. K. Rao and C. F. J. Wu, J. Am. Stat. Assoc. 83 (1988) 231. What the seeds of a recipe
differ by on all units alike (a training that succeeded better) is no matter of units: it is estimated by an
analysis of variance, and added to each resample as normal noise. With one seed it is unknown, and the
interval holds for this training alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
_LEVEL = (0.025, 0.975)

Figures = NDArray[np.bool_] | NDArray[np.float64]


@dataclass(frozen=True)
class SetAnswers:
    """Figures of two recipes for the same images of a set: right or wrong, or any number of an image.

    `recipe` and `other` are [seeds, images]; they may have different numbers of seeds. `units` names the unit
    of each image. Raises ValueError where these do not fit each other, and for less than two units.
    """

    name: str
    recipe: Figures
    other: Figures
    units: Sequence[str]

    def __post_init__(self) -> None:
        """Check the shapes."""
        for figures in (self.recipe, self.other):
            if figures.ndim != 2 or not len(figures) or figures.shape[1] != len(self.units):
                raise ValueError(
                    f"{self.name}: figures must be [seeds, {len(self.units)} images]. "
                    f"Received: {figures.shape}"
                )
        if len(set(self.units)) < 2:
            raise ValueError(
                f"{self.name}: an interval needs at least two units. Received: {len(set(self.units))}"
            )


@dataclass(frozen=True)
class Difference:
    """The mean of the recipe's figures minus the other's, its 95 % interval, and what it is made of.

    `seeds` are those of the recipe and of the other; of several sets, the fewest.
    """

    mean: float
    interval: tuple[float, float]
    images: int
    units: int
    seeds: tuple[int, int]


@dataclass(frozen=True)
class PooledDifference:
    """The difference over all sets, and that of each set by its name."""

    pooled: Difference
    sets: Mapping[str, Difference]


def pooled_difference(
    answers: Sequence[SetAnswers], resamples: int = RESAMPLES, seed: int = 0
) -> PooledDifference:
    """Return the mean difference over sets and of each, with 95 % intervals: the same ones for the same seed.

    Raises ValueError for no set, or for two of one name.
    """
    names = [one.name for one in answers]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"sets must have different names, and there must be one. Received: {names}")
    rng = np.random.default_rng(seed)
    draws = {one.name: _resample(one, resamples, rng) for one in answers}
    sets = {one.name: _difference(one, draws[one.name]) for one in answers}
    means = np.mean(list(draws.values()), axis=0)
    pooled = Difference(
        mean=float(np.mean([one.mean for one in sets.values()])),
        interval=_interval(means),
        images=sum(one.images for one in sets.values()),
        units=sum(one.units for one in sets.values()),
        seeds=(min(one.seeds[0] for one in sets.values()), min(one.seeds[1] for one in sets.values())),
    )
    return PooledDifference(pooled, sets)


def _difference(answers: SetAnswers, draws: NDArray[np.float64]) -> Difference:
    return Difference(
        mean=float(answers.recipe.mean() - answers.other.mean()),
        interval=_interval(draws),
        images=len(answers.units),
        units=len(set(answers.units)),
        seeds=(len(answers.recipe), len(answers.other)),
    )


def _interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(draws, _LEVEL)
    return float(low), float(high)


def _resample(answers: SetAnswers, resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the difference of each resample, float64 [resamples]."""
    _, unit_of = np.unique(np.asarray(answers.units), return_inverse=True)
    sizes = np.bincount(unit_of).astype(np.float64)
    count = len(sizes)
    apart = answers.recipe.mean(axis=0) - answers.other.mean(axis=0)
    sums = np.bincount(unit_of, weights=apart)
    times = rng.multinomial(count - 1, np.full(count, 1 / count), size=resamples)
    variance = sum(_seed_variance(each, unit_of, sizes) for each in (answers.recipe, answers.other))
    return (times @ sums) / (times @ sizes) + rng.normal(0.0, variance**0.5, resamples)


def _seed_variance(figures: Figures, unit_of: NDArray[np.intp], sizes: NDArray[np.float64]) -> float:
    """Return the variance of a recipe's mean that comes of what its seeds differ by on all units alike.

    The means of the seeds [seeds] also vary because each training is right on other units. What units account
    for, estimated by what is left of each unit's sum [seeds, units] without both means, is taken off. 0 where
    nothing is left, and with one seed.
    """
    seeds, units = len(figures), len(sizes)
    if seeds < 2:
        return 0.0
    means = figures.mean(axis=1)
    sums = np.stack([np.bincount(unit_of, weights=row, minlength=units) for row in figures])
    rest = sums - sums.mean(axis=0) - np.outer(means - means.mean(), sizes)
    by_units = (rest**2).sum() * units / (units - 1) / (seeds - 1) / sizes.sum() ** 2
    return max(0.0, float(means.var(ddof=1) - by_units)) / seeds
