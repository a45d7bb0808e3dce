"""Synthetic features of a small class, from those of its own images and of the other classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_NEIGHBOURS = 5  # Of an image: Chawla et al.
_NEAREST = 2  # Other classes that lend their distribution: Yang et al.

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Material:
    """Features of the images that train, float32 [views, images, features], their classes, and the small one.

    All features are 0 or more, as means of what has passed a ReLU.
    """

    views: Floats
    truth: NDArray[np.int64]
    small: int

    @property
    def own(self) -> Floats:
        """The features of the small class, [views, images, features]."""
        return self.views[:, self.truth == self.small]

    @property
    def others(self) -> list[int]:
        """The other classes that have images."""
        return [int(label) for label in np.unique(self.truth) if label != self.small]


Synthesis = Callable[[Material, int, np.random.Generator], Floats]
"""From the material and a number n to synthetic features of the small class, float32 [n, features]."""


def repeat(material: Material, count: int, rng: np.random.Generator) -> Floats:
    """Return views of the images again: nothing new, to tell what the mere number does."""
    views, images, _ = material.own.shape
    return material.own[rng.integers(0, views, count), rng.integers(0, images, count)]


def interpolate(material: Material, count: int, rng: np.random.Generator) -> Floats:
    """Return points between an image and one of its nearest of the class: SMOTE, Chawla et al., JAIR 2002."""
    own = material.own
    views, images, _ = own.shape
    apart = np.linalg.norm(own[0][:, None] - own[0][None], axis=2)
    np.fill_diagonal(apart, np.inf)
    nearest = np.argsort(apart, axis=1)[:, : min(_NEIGHBOURS, images - 1)]
    first = rng.integers(0, images, count)
    second = nearest[first, rng.integers(0, nearest.shape[1], count)]
    share = rng.random((count, 1), np.float32)
    view = rng.integers(0, views, (2, count))
    return np.asarray(own[view[0], first] * (1 - share) + own[view[1], second] * share)


def own_distribution(material: Material, count: int, rng: np.random.Generator) -> Floats:
    """Draw from the mean and the deviation of each feature of the class itself; these as independent."""
    own = material.own.reshape(-1, material.own.shape[2])
    noise = rng.standard_normal((count, own.shape[1]), np.float32)
    return np.asarray(np.maximum(own.mean(axis=0) + own.std(axis=0) * noise, 0), np.float32)


def shared_covariance(material: Material, count: int, rng: np.random.Generator) -> Floats:
    """Draw from the mean of the class and the covariance that the other classes have within them."""
    spread = _spread([material.views[0, material.truth == label] for label in material.others])
    own = material.own.reshape(-1, material.own.shape[2])
    return np.asarray(np.maximum(own.mean(axis=0) + _noise(spread, count, rng), 0), np.float32)


def calibrated(material: Material, count: int, rng: np.random.Generator) -> Floats:
    """Draw from distributions calibrated by the nearest classes: Yang et al., ICLR 2021, eq. 3 to 6.

    Each image has its own distribution, in square roots of the features: the mean of the image and of the two
    classes whose means are nearest, and the mean of their covariances. What is drawn is squared again. The
    constant that the paper adds to the covariance, chosen for each of its data sets, is 0 here.
    """
    roots = np.sqrt(material.views[0])
    by_class = [roots[material.truth == label] for label in material.others]
    means = np.stack([each.mean(axis=0) for each in by_class])
    own = roots[material.truth == material.small]
    parts = np.array_split(np.empty(count), len(own))
    drawn = []
    for image, part in zip(own, parts, strict=True):
        near = np.argsort(np.linalg.norm(means - image, axis=1))[:_NEAREST]
        mean = np.vstack([means[near], image]).mean(axis=0)
        spread = _spread([by_class[place] for place in near])
        drawn.append(np.maximum(mean + _noise(spread, len(part), rng), 0) ** 2)
    return np.asarray(np.concatenate(drawn), np.float32)


SYNTHESES: Mapping[str, Synthesis] = {
    "repeated": repeat,
    "interpolated": interpolate,
    "own distribution": own_distribution,
    "shared covariance": shared_covariance,
    "calibrated": calibrated,
}


def _spread(classes: list[Floats]) -> Floats:
    """Return a matrix M [images, features] for which M^T M is the mean of the covariances of the classes."""
    parts = [(each - each.mean(axis=0)) / max(len(each) - 1, 1) ** 0.5 for each in classes]
    return np.asarray(np.concatenate(parts) / len(parts) ** 0.5, np.float32)


def _noise(spread: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Draw from a normal distribution of mean 0 and covariance spread^T spread, [count, features]."""
    return np.asarray(rng.standard_normal((count, len(spread)), np.float32) @ spread)
