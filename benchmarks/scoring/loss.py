"""How much top-1 accuracy a file lost to the model that it was made from, and what images show of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...edge.statistics.paired_loss import (
    LEVEL,
    images_to_decide,
    largest_loss,
    loss_p_value,
    proportion_bounds,
    smallest_loss,
)
from ...edge.statistics.student import t_p_value, t_quantile


@dataclass(frozen=True)
class Loss:
    """Top-1 accuracy lost on `images` labelled images; negative where the file gained.

    `lost` images are right by the float model only, `won` by the file only. On `compared` images, labelled or
    not, `differing` answers are not the float model's: no larger share can be lost.

        Loss(lost=18, won=2, images=359).is_shown_above(0.01)
    """

    lost: int
    won: int
    images: int
    differing: int = 0
    compared: int = 0

    @classmethod
    def between(cls, model: NDArray[np.bool_], file: NDArray[np.bool_]) -> Loss:
        """Return the loss of a file, by which images, bool [images], the model and the file have right."""
        return cls(int((model & ~file).sum()), int((file & ~model).sum()), len(model))

    @property
    def fraction(self) -> float:
        """The loss as a fraction of the images."""
        return (self.lost - self.won) / self.images

    def at_least(self, level: float = LEVEL) -> float:
        """Return the one-sided lower bound: at `level`, at least this fraction is lost."""
        return smallest_loss(self.lost, self.won, self.images, level)

    def at_most(self, level: float = LEVEL) -> float:
        """Return the one-sided upper bound: at `level`, no more than this fraction is lost.

        It is the smaller of two bounds, each of which is wrong half as often: of the labelled images, and of
        the share of differing answers.
        """
        if not self.compared:
            return largest_loss(self.lost, self.won, self.images, level)
        each = 1 - (1 - level) / 2
        by_answers = proportion_bounds(self.differing, self.compared, each)[1]
        return min(by_answers, largest_loss(self.lost, self.won, self.images, each))

    def is_shown_above(self, limit: float, comparisons: int = 1) -> bool:
        """Return whether the images show that more than `limit`, a fraction, is lost.

        That is so where `limit` lies below the lower bound. Of several comparisons each is held to a level
        that chance alone passes less often, by Bonferroni's correction.
        """
        if limit >= 1:
            return False
        return loss_p_value(self.lost, self.won, self.images, limit) < (1 - LEVEL) / comparisons

    def is_excluded_above(self, limit: float) -> bool:
        """Return whether the images show that no more than `limit`, a fraction, is lost."""
        return limit >= 1 or self.at_most() <= limit

    def images_to_decide(self, limit: float) -> int | None:
        """Return about how many images would tell whether more than `limit` is lost; None for no limit."""
        return images_to_decide(self.lost, self.won, self.images, limit) if 0 < limit < 1 else None

    def __str__(self) -> str:
        """Return the loss in words."""
        return in_points(self.fraction)


@dataclass(frozen=True)
class EstimatedLoss:
    """A loss without labels, on `images` images, as a fraction; see `estimate`.

    `error` is its standard error. `differing` answers are not the float model's: no larger share can be lost.
    """

    fraction: float
    error: float
    images: int
    differing: int

    @classmethod
    def estimate(cls, model: NDArray[np.float64], file: NDArray[np.float64]) -> EstimatedLoss:
        """Return how much less probable the float model finds a file's answers than its own.

        Both are probabilities, [images, classes]. That is the loss of accuracy, if the float model's
        probabilities are calibrated. Another answer costs little where two classes are about as likely.
        """
        answers = file.argmax(1)
        each = model.max(1) - np.take_along_axis(model, answers[:, None], axis=1)[:, 0]
        error = float(each.std(ddof=1)) / math.sqrt(len(each)) if len(each) > 1 else math.inf
        differing = int((answers != model.argmax(1)).sum())
        return cls(float(each.mean()), error, len(each), differing)

    def at_least(self, level: float = LEVEL) -> float:
        """Return the one-sided lower bound of the mean by Student's t, at least 0.

        Most values are 0 and a few are large: there it is lower than `level` asks (N. J. Johnson, J. Am.
        Stat. Assoc. 73 (1978) 536).
        """
        if self.images < 2 or not math.isfinite(self.error):
            return 0.0
        return max(0.0, self.fraction - t_quantile(2 * (1 - level), self.images - 1) * self.error)

    def at_most(self, level: float = LEVEL) -> float:
        """Return the exact one-sided upper bound of the share of differing answers."""
        return proportion_bounds(self.differing, self.images, level)[1]

    def is_shown_above(self, limit: float, comparisons: int = 1) -> bool:
        """Return whether the lower bound lies above `limit`; see `Loss.is_shown_above`."""
        if self.fraction <= limit or self.images < 2:
            return False
        if self.error == 0:
            return True
        t = (self.fraction - limit) / self.error
        return t_p_value(t, self.images - 1) / 2 < (1 - LEVEL) / comparisons

    def is_excluded_above(self, limit: float) -> bool:
        """Return whether the images show that no more than `limit`, a fraction, is lost."""
        return limit >= 1 or self.at_most() <= limit

    def images_to_decide(self, limit: float) -> int | None:
        """Return about how many images would tell whether more than `limit` is lost; None for no limit."""
        return images_to_decide(self.differing, 0, self.images, limit) if 0 < limit < 1 else None

    def __str__(self) -> str:
        """Return the loss in words."""
        return f"about {in_points(self.fraction)}"


AnyLoss = Loss | EstimatedLoss


def in_points(fraction: float) -> str:
    """Return a loss in points, hundredths of the images, with two decimals."""
    return f"{fraction * 100:.2f} points"


def describe_doubt(loss: AnyLoss, limit: float, comparisons: int = 1) -> str | None:
    """Return why it is not known whether more than `limit` is lost, as a clause; None where it is known.

    A loss is known as `is_shown_above` with the same `comparisons` says.

    "cannot be told from 36 images (at most 12.57 points at 95 %); about 1,800 would tell"
    """
    if loss.is_shown_above(limit, comparisons) or loss.is_excluded_above(limit):
        return None
    needed = loss.images_to_decide(limit)
    remedy = f"; about {_round_up(needed):,} would tell" if needed and needed > loss.images else ""
    at_most = f"at most {in_points(loss.at_most())} at {LEVEL * 100:.0f} %"
    return f"cannot be told from {loss.images:,} images ({at_most}){remedy}"


def _round_up(images: int) -> int:
    """Return a number of images with two significant digits, which is all that it is known by."""
    step = int(10 ** max(0, len(str(images)) - 2))
    return math.ceil(images / step) * step
