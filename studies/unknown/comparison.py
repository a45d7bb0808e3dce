"""The scores that each file gives known and unknown images, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from studies.unknown.metrics import (
    ScorePair,
    Scores,
    auroc,
    false_positives,
    interval,
    operating_threshold,
    resampled_difference,
)
from studies.unknown.scores import Fit, Labelled, Outputs


@dataclass(frozen=True)
class FileAnswers:
    """What one file of a run gives for its images.

    `chooser` are training and validation images as the model answers them that has not learned from the
    latter: the operating point is chosen by them. `units` names what each test image belongs to. `unknown` is
    by the names of runs.Pictures.
    """

    set_name: str
    variant: str
    training: Labelled
    chooser: tuple[Labelled, Labelled]
    test: Labelled
    units: tuple[str, ...]
    unknown: Mapping[str, Outputs]


@dataclass(frozen=True)
class Scored:
    """The scores of one file by one method: of test images, and of unknown images by their names.

    `right` tells which test images are answered right.
    """

    set_name: str
    variant: str
    method: str
    known: Scores
    right: NDArray[np.bool_]
    units: tuple[str, ...]
    unknown: Mapping[str, Scores]
    threshold: float

    def names(self, kind: str) -> list[str]:
        """Return the names of the unknown images of a kind, which runs.NEAR, FAR and MADE_UP name."""
        return [name for name in self.unknown if name.partition(":")[0] == kind]

    def auroc(self, kind: str) -> float:
        """Return the mean area under the curve over the sets of a kind; NaN where there are none."""
        return _mean([auroc(self.known, self.unknown[name]) for name in self.names(kind)])

    def false_positives(self, kind: str) -> float:
        """Return the mean of the false positives at 95 % recall over the sets of a kind."""
        return _mean([self.false_positives_of(name) for name in self.names(kind)])

    def false_positives_of(self, name: str) -> float:
        """Return the false positives at 95 % recall of one set of unknown images."""
        return false_positives(self.known, self.unknown[name])

    @property
    def lost(self) -> float:
        """The share of right answers to test images that become unknown at the operating point."""
        return float((self.known[self.right] < self.threshold).mean())

    def let_through(self, kind: str) -> float:
        """Return the mean share of unknown images that are accepted at the operating point."""
        return _mean([self.let_through_of(name) for name in self.names(kind)])

    def let_through_of(self, name: str) -> float:
        """Return the share of one set of unknown images that is accepted at the operating point."""
        return float((self.unknown[name] >= self.threshold).mean())


def score_file(answers: FileAnswers, methods: Mapping[str, Fit]) -> Iterator[Scored]:
    """Yield the scores of a file by every method."""
    for name, fit in methods.items():
        training, validation = answers.chooser
        chosen = fit(training)(validation.outputs)[validation.right]
        score = fit(answers.training)
        yield Scored(
            answers.set_name,
            answers.variant,
            name,
            score(answers.test.outputs),
            answers.test.right,
            answers.units,
            {kind: score(outputs) for kind, outputs in answers.unknown.items()},
            operating_threshold(chosen),
        )


def mean_difference(
    pairs: Sequence[tuple[Scored, Scored]], kind: str
) -> tuple[float, tuple[float, float]] | None:
    """Return by how much the first of each pair exceeds the second in AUROC, and the 95 % interval.

    Pairs are of the same images. Sets have the same weight, and so have the runs of a set, which are
    resampled alike. Returns None where no set has unknown images of this kind.
    """
    names = dict.fromkeys(one.set_name for one, _ in pairs if one.names(kind))
    if not names:
        return None
    draws, means = [], []
    for name in names:
        own = [(one, other) for one, other in pairs if one.set_name == name]
        draws.append(np.mean([_resampled(one, other, kind) for one, other in own], axis=0))
        means.append(np.mean([one.auroc(kind) - other.auroc(kind) for one, other in own]))
    return float(np.mean(means)), interval(np.mean(draws, axis=0))


def _resampled(one: Scored, other: Scored, kind: str) -> NDArray[np.float64]:
    pairs = [ScorePair(one.unknown[name], other.unknown[name]) for name in one.names(kind)]
    return resampled_difference(
        ScorePair(one.known, other.known), pairs, one.units, seed=crc32(one.set_name.encode())
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
