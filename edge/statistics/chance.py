"""Whether a classifier is right more often than chance: than its own answers, dealt out at random."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .paired import SIGNIFICANT, describe_p

# From so many images on, a model that is better than chance and of any use shows it.
ENOUGH_IMAGES = 30
# The exact distribution of more images takes longer than 50 ms, and the approximation is close.
_EXACT_IMAGES = 300


class Standing(Enum):
    """What labelled images say about a model and chance."""

    BETTER = "better than chance"
    NOT_BETTER = "not better than chance"
    UNTOLD = "cannot be told from chance"
    UNKNOWN = "was not compared with chance"


@dataclass(frozen=True)
class Chance:
    """What chance alone gives: `expected` is the mean share of right answers, a fraction of 1.

    `p_value` is the probability that it gives as many right answers as were observed, or more. It is None
    where all images are of one class: then every order of the answers is right equally often.
    """

    expected: float
    p_value: float | None


class HasChance(Protocol):
    """An accuracy that was compared with chance: `top1` and `chance` are fractions of 1."""

    @property
    def images(self) -> int:
        """The number of labelled images."""
        ...

    @property
    def top1(self) -> float:
        """The share of right answers."""
        ...

    @property
    def chance(self) -> float | None:
        """Chance.expected; None where it was not computed."""
        ...

    @property
    def above_chance_p(self) -> float | None:
        """Chance.p_value."""
        ...


def compare_with_chance(truth: NDArray[np.int64], guess: NDArray[np.int64]) -> Chance:
    """Compare answers with the same answers, dealt out at random among the same images.

    `truth` and `guess` are class indices [images]; a guess below 0 is none of the classes. The expected share
    is the sum over classes of share of images times share of answers: J. Cohen, Educ. Psychol. Meas. 20
    (1960) 37. A model that gives one answer to everything is thus exactly at chance. The p-value is that of
    the permutation test: exact for up to 300 images; for more, Edgeworth's series with the exact first three
    moments. Raises ValueError for no images.
    """
    images = len(truth)
    if images == 0:
        raise ValueError("no images to compare with chance")
    known = guess[guess >= 0]
    size = int(max(truth.max(), known.max(initial=0))) + 1
    counts = np.stack([np.bincount(truth, minlength=size), np.bincount(known, minlength=size)], axis=1)
    pairs = [(present, answered) for present, answered in counts.tolist() if present or answered]
    expected = sum(present * answered for present, answered in pairs) / images**2
    if max(present for present, _ in pairs) == images:
        return Chance(expected, None)
    right = int((truth == guess).sum())
    if images <= _EXACT_IMAGES:
        return Chance(expected, _exact_tail(pairs, images, right))
    # Of two classes, an image answered right by an exchange makes another one right, too.
    step = 2 if len(pairs) == 2 and len(known) == images else 1
    return Chance(expected, _approximate_tail(pairs, images, right, step))


def against_chance(accuracy: HasChance) -> Standing:
    """Judge an accuracy.

    It is better than chance where that is shown (p < 0.05). Where it is not, a model is "not better" if there
    are at least 30 images, or if no more answers are right than chance gives; with fewer images it "cannot be
    told". Images of one class tell nothing, unless no answer is right.
    """
    if accuracy.chance is None:
        return Standing.UNKNOWN
    if accuracy.above_chance_p is None:
        return Standing.UNTOLD if accuracy.top1 > 0 else Standing.NOT_BETTER
    if accuracy.above_chance_p < SIGNIFICANT:
        return Standing.BETTER
    # Chance is a sum of many shares: the last digits are those of rounding.
    above = accuracy.top1 > accuracy.chance + 1e-9
    return Standing.UNTOLD if above and accuracy.images < ENOUGH_IMAGES else Standing.NOT_BETTER


def untold_remark(name: str, accuracy: HasChance) -> str | None:
    """Return that the images cannot tell whether the model `name` is better than chance; None if they can."""
    if against_chance(accuracy) is not Standing.UNTOLD:
        return None
    more = (
        "more of them, and of other classes,"
        if accuracy.above_chance_p is None
        else f"{ENOUGH_IMAGES} or more"
    )
    return f"{name} {Standing.UNTOLD.value}: {describe_chance(accuracy)}. Give {more} to know"


def describe_chance(accuracy: HasChance) -> str:
    """Return "16.7 % of 60 images are right, and chance alone gives 17.1 % (p = 0.612)"."""
    right = f"{accuracy.top1:.1%} of {accuracy.images} images are right"
    if accuracy.chance is None:
        return right
    if accuracy.above_chance_p is None:
        return f"{right}, and all are of one class"
    p_value = describe_p(accuracy.above_chance_p)
    return f"{right}, and chance alone gives {accuracy.chance:.1%} ({p_value})"


Pairs = Sequence[tuple[int, int]]  # Of each class: the number of images, and of answers.


def _exact_tail(pairs: Pairs, images: int, right: int) -> float:
    """Return the probability of at least `right` matches, from whole numbers.

    The ways to place k matches are coefficient k of a rook polynomial, and the tail is an alternating sum of
    them: I. Kaplansky, J. Riordan, Duke Math. J. 13 (1946) 259.
    """
    if right == 0:
        return 1.0
    rooks = _rook_polynomial(pairs, images)
    total = 0
    for places in range(right, len(rooks)):
        ways = rooks[places] * math.factorial(images - places) * math.comb(places - 1, right - 1)
        total += -ways if (places - right) % 2 else ways
    return total / math.factorial(images)


def _approximate_tail(pairs: Pairs, images: int, right: int, step: int) -> float:
    """Return the same by Edgeworth's series: W. Feller, Probability Theory II (1971), XVI.4.

    Matches come in steps of `step`, of which half is taken off (the correction for continuity).
    """
    rooks = [*_rook_polynomial(pairs, 3), 0, 0, 0]
    # Factorial moments E[X], E[X ], E[X ].
    first = rooks[1] / images
    second = 2 * rooks[2] / (images * (images - 1))
    third = 6 * rooks[3] / (images * (images - 1) * (images - 2))
    variance = second + first - first**2
    if variance <= 0:  # All answers are the same: every order of them is right equally often.
        return 1.0
    skewed = third + 3 * second + first - 3 * first * (second + first) + 2 * first**3
    deviation = math.sqrt(variance)
    z = (right - step / 2 - first) / deviation
    density = math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    tail = math.erfc(z / math.sqrt(2)) / 2 + density * skewed / deviation**3 / 6 * (z**2 - 1)
    return min(1.0, max(0.0, tail))


def _rook_polynomial(pairs: Pairs, degree: int) -> list[int]:
    """Return the coefficients of the rook polynomial up to `degree`: ways to place k matches."""
    product = [1]
    for present, answered in pairs:
        most = min(present, answered, degree)
        own = [math.comb(present, k) * math.comb(answered, k) * math.factorial(k) for k in range(most + 1)]
        longer = [0] * min(len(product) + most, degree + 1)
        for i, ways in enumerate(product):
            for k, more in enumerate(own[: degree + 1 - i]):
                longer[i + k] += ways * more
        product = longer
    return product
