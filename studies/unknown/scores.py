"""Scores that are high for what a model knows. Each is fitted to the training images of a file, and no other.

score = energy(training)
score(outputs)                  # float64 [images], higher for known
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from edge_classify.convert.directions import unit_rows
from numpy.typing import NDArray

from studies.unknown.metrics import Scores

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Outputs:
    """What a file gives for images, float32, one row an image.

    `features` are what its last dense layer reads, `logits` what that gives without temperature,
    `probabilities` the file's output. Values of 8 bits are dequantized.
    """

    features: Floats
    logits: Floats
    probabilities: Floats

    def rows(self, chosen: NDArray[np.bool_]) -> Outputs:
        """Return the outputs for some of the images."""
        return Outputs(self.features[chosen], self.logits[chosen], self.probabilities[chosen])

    def answered(self, logits: Floats) -> Outputs:
        """Return the same features with the logits of another last layer, and their softmax."""
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return replace(self, logits=logits, probabilities=powers / powers.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Labelled:
    """Outputs for images of known classes, and these, int64 [images]. Every class has a training image."""

    outputs: Outputs
    truth: NDArray[np.int64]

    @property
    def directions(self) -> Floats:
        """The features as rows of length 1."""
        return unit_rows(self.outputs.features)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which images are answered right."""
        return np.asarray(self.outputs.logits.argmax(axis=1) == self.truth)

    @property
    def classes(self) -> range:
        """The classes' numbers."""
        return range(int(self.truth.max()) + 1)


Score = Callable[[Outputs], Scores]
Fit = Callable[[Labelled], Score]


def softmax(_: Labelled) -> Score:
    """Return the highest probability. Hendrycks and Gimpel, ICLR 2017."""
    return lambda outputs: outputs.probabilities.max(axis=1).astype(np.float64)


def energy(_: Labelled) -> Score:
    """Return the logarithm of the sum of the exponentials of the logits. Liu et al., NeurIPS 2020."""

    def score(outputs: Outputs) -> Scores:
        logits = outputs.logits.astype(np.float64)
        highest = logits.max(axis=1)
        return np.asarray(highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1)))

    return score


def nearest_of(directions: Floats) -> Score:
    """Return the highest cosine to any of the `directions`, rows of length 1."""
    return lambda outputs: (unit_rows(outputs.features) @ directions.T).max(axis=1).astype(np.float64)


def neighbours(training: Labelled, count: int) -> Score:
    """Return the cosine to the nearest training image but `count` - 1. Sun et al., ICML 2022.

    Where there are fewer images, that to the farthest.
    """
    bank = training.directions
    place = len(bank) - min(count, len(bank))

    def score(outputs: Outputs) -> Scores:
        cosines = unit_rows(outputs.features) @ bank.T
        return np.partition(cosines, place, axis=1)[:, place].astype(np.float64)

    return score


def relative_mahalanobis(training: Labelled) -> Score:
    """Return by how much an image is nearer to a class than to all images. Ren et al., arXiv 2106.09022.

    Distances are squared and Mahalanobis's, on directions. One covariance serves all classes. There are more
    features than images, so both covariances are shrunk, by the share that Ledoit and Wolf's rule (J.
    Multivar. Anal. 88, 2004) gives for that of the classes. With a share for each, the two would differ most
    in directions that no training image shows, and unknown images would come out as the nearest.
    """
    from sklearn.covariance import ShrunkCovariance, ledoit_wolf_shrinkage  # Takes seconds to load.

    rows = training.directions.astype(np.float64)
    means = np.stack([rows[training.truth == label].mean(axis=0) for label in training.classes])
    middle = rows.mean(axis=0)
    inner = rows - means[training.truth]
    share = ledoit_wolf_shrinkage(inner, assume_centered=True)
    shrunk = ShrunkCovariance(shrinkage=share, assume_centered=True, store_precision=False)
    within = np.linalg.inv(shrunk.fit(inner).covariance_)
    around = np.linalg.inv(shrunk.fit(rows - middle).covariance_)

    def score(outputs: Outputs) -> Scores:
        given = unit_rows(outputs.features).astype(np.float64)
        distances = np.stack([_quadratic(given - mean, within) for mean in means])
        return np.asarray(_quadratic(given - middle, around) - distances.min(axis=0))

    return score


def _quadratic(rows: NDArray[np.float64], matrix: NDArray[np.float64]) -> Scores:
    return np.asarray(((rows @ matrix) * rows).sum(axis=1))


SCORES: Mapping[str, Fit] = {
    "softmax": softmax,
    "energy": energy,
    "nearest image": partial(neighbours, count=1),
    "10th neighbour": partial(neighbours, count=10),
    "relative Mahalanobis": relative_mahalanobis,
}
"""The scores that are compared, by name; those of several prototypes a class are in prototypes.py."""
