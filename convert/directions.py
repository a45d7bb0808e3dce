"""The directions of classes in the space of features: what a model has learned that they look like."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SEED, _STARTS = 0, 2


def unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows of length 1; a row of zeros stays."""
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.asarray(rows / lengths, np.float32)


def class_directions(
    features: NDArray[np.float32], truth: NDArray[np.int64], count: int
) -> NDArray[np.float32]:
    """Return at most `count` directions of each class, rows of length 1, float32 [directions, features].

    `features` is float32 [images, features], and `truth` the classes, int64 [images]: each class up to the
    highest has an image. Directions are the middles of k-means on those of the class's images; one is their
    mean. A class of fewer different images has one for each of them.
    """
    rows = unit_rows(features)
    classes = range(int(truth.max()) + 1)
    return np.concatenate([_directions_of(rows[truth == label], count) for label in classes])


def _directions_of(rows: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    if count == 1:
        return unit_rows(rows.mean(axis=0, keepdims=True))
    distinct = np.unique(rows, axis=0)  # Copies of an image have one direction.
    if len(distinct) <= count:
        return distinct
    from sklearn.cluster import KMeans  # Takes seconds to load.

    middles = KMeans(count, n_init=_STARTS, random_state=_SEED).fit(rows).cluster_centers_
    return unit_rows(np.asarray(middles, np.float32))
