"""How well a score tells known images from unknown ones. A higher score means: more likely known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RECALL = 0.95  # Hendrycks and Gimpel, ICLR 2017, and most who followed.
LOST = 0.02  # Of the right answers to known images, at the operating point.
RESAMPLES = 2000
_LEVEL = (0.025, 0.975)

Scores = NDArray[np.float64]


class ScorePair(NamedTuple):
    """Two scores of the same images: `score` is compared with `other`."""

    score: Scores
    other: Scores


def auroc(known: Scores, unknown: Scores) -> float:
    """Return how often a known image scores higher than an unknown one, of all pairs; a tie counts half.

    That is the area under the curve of recall by false positives (Hanley and McNeil, Radiology 143, 1982).
    Raises ValueError where there are no known or no unknown images.
    """
    return float(_wins(known, unknown).mean())


def false_positives(known: Scores, unknown: Scores, recall: float = RECALL) -> float:
    """Return the share of unknown images that are accepted where at least `recall` of the known ones are.

    The threshold is the highest that accepts as many. Raises ValueError where there are none of either.
    """
    _require(known, unknown)
    lowest = np.sort(known)[::-1][int(np.ceil(recall * len(known))) - 1]
    return float((unknown >= lowest).mean())


def operating_threshold(right: Scores, lost: float = LOST) -> float:
    """Return the highest threshold below which at most a share `lost` of the scores `right` lie.

    These are the scores of right answers to images that chose nothing else. Raises ValueError for none.
    """
    if not len(right):
        raise ValueError("no right answers to choose a threshold by")
    return float(np.sort(right)[int(np.floor(lost * len(right)))])


def resampled_difference(
    known: ScorePair,
    unknown: Sequence[ScorePair],
    units: Sequence[str],
    seed: int,
    resamples: int = RESAMPLES,
) -> NDArray[np.float64]:
    """Return by how much the AUROC of a score exceeds the other's, in each resample, float64 [resamples].

    `units` names what each known image belongs to: units are drawn with replacement, all their images
    together. Unknown images are drawn one by one from each of the sets `unknown`, which have the same weight.
    The same seed draws the same units and images. Raises ValueError where there are no images.
    """
    _, unit_of = np.unique(np.asarray(units), return_inverse=True)
    times = _draw(int(unit_of.max()) + 1, resamples, (seed, 0))[:, unit_of]
    total = np.zeros(resamples)
    for place, pair in enumerate(unknown, start=1):
        apart = _wins(known.score, pair.score) - _wins(known.other, pair.other)
        drawn = _draw(apart.shape[1], resamples, (seed, place))
        total += ((times @ apart) * drawn).sum(axis=1) / (times.sum(axis=1) * drawn.sum(axis=1))
    return total / len(unknown)


def interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    """Return the middle 95 % of resamples."""
    low, high = np.quantile(draws, _LEVEL)
    return float(low), float(high)


@lru_cache(maxsize=32)
def _draw(count: int, resamples: int, seed: tuple[int, int]) -> NDArray[np.float64]:
    """Return how often each of `count` things is drawn, [resamples, count]; many scores share it."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)


def _wins(known: Scores, unknown: Scores) -> NDArray[np.float64]:
    """Return 1 where a row's known image scores higher than a column's unknown one, and 0.5 in a tie."""
    _require(known, unknown)
    apart = known[:, None] - unknown[None, :]
    return (np.sign(apart) + 1) / 2


def _require(known: Scores, unknown: Scores) -> None:
    if not len(known) or not len(unknown):
        raise ValueError(f"known and unknown images are needed. Received: {len(known)} and {len(unknown)}")
