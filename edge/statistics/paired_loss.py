"""How much less often one model is right than another on the same images: exact tests and bounds.

Of `images` images, `lost` are those that only the reference has right, and `won` those that only the other
model has right. The loss is (lost - won) / images, a fraction; it is negative where the other model gained.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95  # Of one-sided bounds.
_POWER = 0.8  # Of the number of images that would decide.
# The share of the test's level that is spent on bounding the unknown rate of images won.
_NUISANCE_LEVEL = 0.001
_NUISANCE_STEPS = 16
# With more images that only one model has right, the normal distribution of the statistic is as good.
_MOST_EXACT = 200
_SPREAD = 7.0  # Standard deviations: what lies beyond is below 1e-11.
_HALVINGS = 16  # Of an interval of length 2: 6 digits.


def loss_p_value(lost: int, won: int, images: int, limit: float) -> float:
    """Return the p-value of the hypothesis that no more than `limit`, a fraction, is lost.

    The statistic is the score of T. Tango, Stat. Med. 17 (1998) 891. Its probability depends on the unknown
    rate of images won: the largest over the exact 99.9 % interval of that rate is taken, and 0.001 added, so
    that the test is never wrong more often than it says (R. L. Berger, D. D. Boos, J. Am. Stat. Assoc. 89
    (1994) 1012). With more than 200 images that only one model has right, the statistic counts as normal.
    Raises ValueError for counts that cannot be, and for a limit outside -1..1.

        loss_p_value(lost=18, won=0, images=359, limit=0.01) < 0.05
    """
    if min(lost, won) < 0 or lost + won > images or images == 0:
        raise ValueError(f"counts cannot be: {lost} lost and {won} won of {images} images")
    if not -1 <= limit <= 1:
        raise ValueError(f"limit must be a fraction. Received: {limit}")
    return _p_value(lost, won, images, limit)


def smallest_loss(lost: int, won: int, images: int, level: float = LEVEL) -> float:
    """Return the one-sided lower bound of the loss: at `level`, at least this fraction is lost.

    It is a limit that `loss_p_value` rejects, and one a little larger is not rejected; -1 where none is
    rejected. P-values of counts do not fall quite steadily: of counts up to 60, 0.6 % of the
    limits a little below are not rejected at 5 %, with p-values of up to 0.07.
    """
    high = (lost - won) / images
    low = max(-1.0, high - 2 * _SPREAD / math.sqrt(images))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _p_value(lost, won, images, middle) < 1 - level else (low, middle)
    return low


def largest_loss(lost: int, won: int, images: int, level: float = LEVEL) -> float:
    """Return the one-sided upper bound of the loss: at `level`, no more than this fraction is lost."""
    return -smallest_loss(won, lost, images, level)


def images_to_decide(lost: int, won: int, images: int, limit: float) -> int:
    """Return about how many images would show that a file without any loss stays within `limit`.

    They show it with a probability of 80 % if as many images as here are right for one model only, by the
    formula for paired proportions: R. J. Connor, Biometrics 43 (1987) 207. Where none is, they are as many as
    show it when none is again. Raises ValueError for a limit that is not above 0.
    """
    if limit <= 0:
        raise ValueError(f"limit must be above 0. Received: {limit}")
    normal = NormalDist()
    z = normal.inv_cdf(LEVEL) + normal.inv_cdf(_POWER)
    without_any = math.log(1 - LEVEL) / math.log1p(-limit) if limit < 1 else 1.0
    return math.ceil(max(without_any, z**2 * (lost + won) / images / limit**2))


def proportion_bounds(successes: int, trials: int, level: float) -> tuple[float, float]:
    """Return the exact one-sided bounds of a proportion, each at `level`.

    C. J. Clopper, E. S. Pearson, Biometrika 26 (1934) 404. Raises ValueError for no trials.
    """
    if trials == 0:
        raise ValueError("no trials")
    return 1 - _most(trials - successes, trials, 1 - level), _most(successes, trials, 1 - level)


@lru_cache(maxsize=4096)
def _most(successes: int, trials: int, alpha: float) -> float:
    """Return the rate at which at most `successes` of `trials` have the probability `alpha`."""
    if successes == trials:
        return 1.0
    logs = _log_factorials(trials)
    counts = np.arange(successes + 1)
    ways = logs[trials] - logs[counts] - logs[trials - counts]
    low, high = successes / trials, 1.0
    for _ in range(50):
        rate = (low + high) / 2
        tail = np.exp(ways + counts * math.log(rate) + (trials - counts) * math.log1p(-rate)).sum()
        low, high = (rate, high) if tail > alpha else (low, rate)
    return high


@lru_cache(maxsize=4096)
def _p_value(lost: int, won: int, images: int, limit: float) -> float:
    """Return the p-value; counts and limit are valid."""
    observed = float(_score(np.array(lost), np.array(won), images, limit))
    if lost + won > _MOST_EXACT:
        return 1 - NormalDist().cdf(observed)
    rates = _nuisance_rates(won, images, limit)
    worst = max(_probabilities(observed, images, limit, rates))
    return min(1.0, worst + _NUISANCE_LEVEL)


def _nuisance_rates(won: int, images: int, limit: float) -> NDArray[np.float64]:
    """Return the rates of images won at which the statistic's distribution is looked at.

    Rates of images lost are larger by `limit`; both together are at most 1 and none is below 0.
    """
    least, most = proportion_bounds(won, images, 1 - _NUISANCE_LEVEL / 2)
    bottom, top = max(0.0, -limit), (1 - limit) / 2
    low, high = min(max(least, bottom), top), min(max(most, bottom), top)
    return np.linspace(low, high, _NUISANCE_STEPS)


def _probabilities(
    observed: float, images: int, limit: float, won_rates: NDArray[np.float64]
) -> Iterator[float]:
    """Give for each rate the probability of a score of at least `observed`, if exactly `limit` is lost.

    The number of images that only one model has right is binomial, and so is the number lost among these.
    """
    first = _likely(images, limit + 2 * float(won_rates[0]))[0]
    last = _likely(images, limit + 2 * float(won_rates[-1]))[1]
    differing = np.arange(first, last + 1)[:, None]
    lost = np.arange(last + 1)[None, :]
    won = differing - lost
    # At a score of exactly the observed one, rounding must not decide.
    counted = (won >= 0) & (_score(lost, np.maximum(won, 0), images, limit) >= observed - 1e-9)
    logs = _log_factorials(images)
    row, lost = np.nonzero(counted)
    either, won = row + first, row + first - lost
    ways = logs[images] - logs[images - either] - logs[lost] - logs[won]
    for won_rate in won_rates.tolist():
        lost_rate = won_rate + limit
        rest = _times_log(images - either, 1 - lost_rate - won_rate)
        yield float(np.exp(ways + rest + _times_log(lost, lost_rate) + _times_log(won, won_rate)).sum())


def _likely(images: int, rate: float) -> tuple[int, int]:
    """Return the least and the largest number of images of a rate; others have no probability."""
    spread = _SPREAD * math.sqrt(images * rate * (1 - rate)) + _SPREAD
    return max(0, int(images * rate - spread)), min(images, int(images * rate + spread))


def _score(lost: NDArray[np.int64], won: NDArray[np.int64], images: int, limit: float) -> NDArray[np.float64]:
    """Return Tango's score, which is standard normal if exactly `limit` is lost."""
    # The most likely rate of images won, if exactly `limit` is lost, solves a quadratic equation.
    half = (2 * images - lost + won) * limit - lost - won
    root = np.sqrt(np.maximum(0.0, half**2 + 8 * images * won * limit * (1 - limit)))
    rate = np.maximum((root - half) / (4 * images), max(0.0, -limit))
    variance = images * np.maximum(2 * rate + limit * (1 - limit), 0.0)
    gap = lost - won - images * limit
    certain = np.where(np.abs(gap) < 1e-12, 0.0, np.copysign(np.inf, gap))
    return np.where(variance > 1e-15, gap / np.sqrt(np.maximum(variance, 1e-15)), certain)


def _times_log(counts: NDArray[np.int64], rate: float) -> NDArray[np.float64]:
    """Return counts * ln(rate), with 0 * ln(0) = 0."""
    if rate <= 1e-15:  # What is left of 0 by rounding.
        return np.where(counts > 0, -np.inf, 0.0)
    return np.asarray(counts * math.log(rate))


@lru_cache(maxsize=8)
def _log_factorials(most: int) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, most + 1)))])
