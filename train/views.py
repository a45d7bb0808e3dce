"""The views of training images: the image itself and augmented ones, which are the same in every run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .augmentation import MAX_ROTATION, make_augmentation, reseed, strong_views
from .dataset import Examples
from .degradation import STRENGTHS
from .feeds import extra_views
from .frozen import CHUNK
from .hyperparameters import Hyperparameters


@dataclass(frozen=True)
class Views:
    """The number of views of each training image, int64 [images], and the rows of the views."""

    counts: NDArray[np.int64]

    @property
    def total(self) -> int:
        """The number of rows of all views."""
        return int(self.counts.sum())

    @property
    def most(self) -> int:
        """The number of views of the image that has most."""
        return int(self.counts.max())

    def rows(self, view: int) -> NDArray[np.int64]:
        """Return the images that have a view of this number."""
        return np.flatnonzero(self.counts > view)

    def digest(self) -> str:
        """Return a hash of the counts."""
        return hashlib.blake2b(self.counts.tobytes(), digest_size=16).hexdigest()

    def places(self) -> NDArray[np.int64]:
        """Return the row of each view [views, images]: view by view, the images in order; -1 for none."""
        table = np.full((self.most, len(self.counts)), -1, np.int64)
        start = 0
        for view in range(len(table)):
            rows = self.rows(view)
            table[view, rows] = np.arange(start, start + len(rows))
            start += len(rows)
        return table


def plan_views(truth: NDArray[np.int64], classes: int, chosen: Hyperparameters, epochs: int) -> Views:
    """Return the number of views of each image: at most one for each epoch, and one without augmentation.

    Images that each epoch draws several times have more views, with stronger augmentation.
    """
    views = np.full(len(truth), min(chosen.views, epochs) if chosen.augment else 1, np.int64)
    if chosen.imbalance == "oversample" and chosen.augment:
        views = np.maximum(views, extra_views(truth, classes))
    return Views(views)


@dataclass(frozen=True)
class ViewedImages:
    """Images, the views of each, and what decides the pixels of these.

    `augment` are names of augmentations. Views of a number from `normal` on are augmented more strongly: only
    images of small classes have so many. The geometry of a view does not depend on the side of the pixels, so
    that two networks with inputs of different sides see the same view.
    """

    examples: Examples
    views: Views
    augment: tuple[str, ...]
    normal: int
    seed: int

    @classmethod
    def unchanged(cls, examples: Examples) -> ViewedImages:
        """Return images with one view each, which is the image itself."""
        return cls(examples, Views(np.ones(len(examples.rows), np.int64)), (), 1, 0)

    def chunks(self, view: int) -> Iterator[NDArray[Any]]:
        """Yield a view of all images that have it, uint8 or float32 [n, side, side, 3], 0..255.

        View 0 is the unchanged image.
        """
        rows = self.examples.rows[self.views.rows(view)]
        augment = make_augmentation(self.augment, self.seed) if view else None
        for number, start in enumerate(range(0, len(rows), CHUNK)):
            pixels = self.examples.pixels[rows[start : start + CHUNK]]
            if augment is not None:
                reseed(augment, self.seed, view, number)
                pixels = np.asarray(augment(pixels, training=True))
            if view >= self.normal:
                rotation = "rotation" in self.augment
                pixels = strong_views(pixels.round().astype(np.uint8), rotation, self.seed, view, number)
            yield pixels

    def recipe(self) -> dict[str, Any]:
        """Return what decides the pixels of later views, beside the images and the number of views."""
        return {
            "augment": self.augment,
            "normal_views": self.normal,
            "largest_rotation": MAX_ROTATION,
            "degradations": STRENGTHS,
            "seed": self.seed,
        }


def digest_pixels(*several: Examples) -> str:
    """Return a hash of the pixels of all images, in their order."""
    digest = hashlib.blake2b(digest_size=16)
    for examples in several:
        for start in range(0, len(examples.rows), 1024):
            digest.update(examples.pixels[examples.rows[start : start + 1024]].tobytes())
    return digest.hexdigest()
