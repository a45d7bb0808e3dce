"""Two models on the same images: whether one of them is right more often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# The level of paired tests of accuracy: a difference with a smaller p-value is called real. Where one of many
# tests may succeed by chance, it is divided by their number.
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class McNemar:
    """The result of McNemar's test: how many images only one of two models has right, and the p-value."""

    only_a: int
    only_b: int
    p_value: float


def mcnemar(a_right: NDArray[np.bool_], b_right: NDArray[np.bool_]) -> McNemar:
    """Test whether two models are equally often right; both arrays are bool [images] of the same images.

        right = probabilities.argmax(axis=1) == truth
        mcnemar(right, other_right).p_value

    Raises ValueError for arrays of different lengths.
    """
    if a_right.shape != b_right.shape:
        raise ValueError(f"not the same images: {len(a_right)} and {len(b_right)}")
    only_a, only_b = int((a_right & ~b_right).sum()), int((b_right & ~a_right).sum())
    return McNemar(only_a, only_b, mcnemar_p(only_a, only_b))


def mcnemar_p(only_a: int, only_b: int) -> float:
    """Return the exact two-sided p-value of McNemar's test: Q. McNemar, Psychometrika 12 (1947) 153.

    Where two models are equally good, an image that only one of them has right is that of either with
    probability 1/2; `only_a` and `only_b` are the numbers of such images.
    """
    trials = only_a + only_b
    ways = term = 1  # Whole numbers: a float would overflow at 1,030 images.
    for count in range(min(only_a, only_b)):
        term = term * (trials - count) // (count + 1)
        ways += term
    return min(1.0, 2 * ways / (1 << trials))


def describe_p(p_value: float) -> str:
    """Return a p-value in words, such as "p = 0.012" or "p < 0.001"."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def describe_difference(p_value: float) -> str:
    """Return whether a difference is real: "yes, p = 0.012" or "not shown, p = 0.370"."""
    return f"{'yes' if p_value < SIGNIFICANT else 'not shown'}, {describe_p(p_value)}"
