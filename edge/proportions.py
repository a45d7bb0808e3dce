"""Exact and near-exact statistics of counts, without anything but the standard library."""

from __future__ import annotations

import math

Z95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution.


def wilson_interval(successes: float, trials: float) -> tuple[float, float]:
    """95 % interval of a proportion: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209.

    Unlike the normal approximation it stays in 0..1 and has a width for 0 and `trials` successes. Both may be
    fractions, of trials that are worth fewer because they depend on each other.
    """
    if trials == 0:
        return 0.0, 1.0
    rate, z2 = successes / trials, Z95**2
    centre = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 / (1 + z2 / trials) * math.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def mcnemar_p(only_a: int, only_b: int) -> float:
    """Exact two-sided p-value of McNemar's test: Q. McNemar, Psychometrika 12 (1947) 153.

    Of the images on which only one of two is right, each is either's with probability 1/2 if they are
    equally good; `only_a` and `only_b` are how many are whose.
    """
    trials = only_a + only_b
    ways = term = 1  # Whole numbers: a float would overflow at 1,030 images.
    for count in range(min(only_a, only_b)):
        term = term * (trials - count) // (count + 1)
        ways += term
    return min(1.0, 2 * ways / (1 << trials))


def binomial_tail(successes: int, trials: int, rate: float) -> float:
    """Probability of at most `successes` in `trials` that each succeed with probability `rate`, 0..1.

    The sum of the binomial distribution, each term by logarithms of the gamma function, which don't overflow.
    """
    if successes >= trials or rate <= 0:
        return 1.0
    if rate >= 1:
        return 0.0
    ways = math.lgamma(trials + 1)
    terms = (
        ways - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * math.log(rate)
        + (trials - k) * math.log1p(-rate)
        for k in range(successes + 1)
    )  # fmt: skip
    return min(1.0, sum(math.exp(term) for term in terms))
