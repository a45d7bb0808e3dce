"""Proportions, their intervals and tests, with nothing but the standard library."""

from __future__ import annotations

import math

Z95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution.


def wilson_interval(successes: float, trials: float) -> tuple[float, float]:
    """95 % interval of a proportion: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209.

    Unlike the normal approximation it stays in 0..1 and has a width for 0 and `trials` successes. Both may be
    fractions, for trials that depend on each other and are therefore worth fewer.
    """
    if trials == 0:
        return 0.0, 1.0
    rate, z2 = successes / trials, Z95**2
    centre = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 / (1 + z2 / trials) * math.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def f1_interval(right: int, support: int, predicted: int) -> tuple[float, float]:
    """95 % interval of the F1 of a class: Lam, Gopal and Qian, arXiv 2309.14621 (2023), "Wilson indirect".

    `support` images are of the class, `predicted` are answered so, and `right` are both. Their share J of the
    images that are either is a proportion, and F1 is 2 J / (1 + J). Unlike the interval of a bootstrap it has
    a width where all answers are right.
    """
    low, high = wilson_interval(right, support + predicted - right)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def two_proportions_p(successes: tuple[int, int], trials: tuple[int, int]) -> float:
    """Return the two-sided p-value of equal rates in two samples, by the z test with the pooled rate.

    It equals the chi-squared test of the 2x2 table: K. Pearson, Philos. Mag. 50 (1900) 157.
    """
    pooled = sum(successes) / sum(trials)
    error = math.sqrt(pooled * (1 - pooled) * (1 / trials[0] + 1 / trials[1]))
    if error == 0:
        return 1.0
    z = (successes[0] / trials[0] - successes[1] / trials[1]) / error
    return math.erfc(abs(z) / math.sqrt(2))


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
