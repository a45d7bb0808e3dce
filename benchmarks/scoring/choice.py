"""The images by which one of several files is chosen: which of them each file has right."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .loss import Loss


@dataclass(frozen=True)
class RightAnswers:
    """The images that a file has right, bool [images], and those that its float model has.

    `data` names the images, and `apart` says that the file's figures are of others. `float_model` is None
    where the model that the file was made from is not known. On `compared` images, these and others,
    `differing` answers are not the float model's.
    """

    data: str
    apart: bool
    file: NDArray[np.bool_]
    float_model: NDArray[np.bool_] | None = None
    differing: int = 0
    compared: int = 0

    @property
    def reference(self) -> NDArray[np.bool_]:
        """What the file's model has right: what quantizing won by chance is no merit."""
        return self.file if self.float_model is None else self.float_model


@dataclass(frozen=True)
class LossToBest:
    """A file against the most accurate of the float models: its loss, and whether that model is its own.

    The loss of a file that is this model itself is None.
    """

    loss: Loss | None
    own: bool


def compare_with_best(answers: Sequence[RightAnswers]) -> list[LossToBest]:
    """Compare files, all on the same images, with the most accurate of their float models.

    Of float models that are as accurate the first counts. Raises ValueError for no files, and for files on
    different numbers of images.
    """
    sizes = {len(item.file) for item in answers} | {len(item.reference) for item in answers}
    if len(sizes) != 1:
        raise ValueError(f"not the same images: {sorted(sizes)}")
    best = max((item.reference for item in answers), key=lambda right: int(right.sum()))
    losses = []
    for item in answers:
        own = item.reference is best or np.array_equal(item.reference, best)
        loss = Loss.between(best, item.file)
        if own and item.float_model is None:
            losses.append(LossToBest(None, own))
        elif own:
            loss = replace(loss, differing=item.differing, compared=item.compared)
            losses.append(LossToBest(loss, own))
        else:
            losses.append(LossToBest(loss, own))
    return losses


def count_comparisons(answers: Sequence[RightAnswers]) -> int:
    """Return how many comparisons chance could decide: of each file with each float model."""
    return len(answers) * len({item.reference.tobytes() for item in answers})


def hash_names(names: Sequence[str], labels: Sequence[str]) -> str:
    """Return a hash of images' names and classes, by which the same images are known."""
    rows = "\n".join(f"{name}\0{label}" for name, label in zip(names, labels, strict=True))
    return hashlib.sha256(rows.encode()).hexdigest()
