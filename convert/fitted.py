"""A variant after its confidence was fitted, with its answers to the images that it was fitted on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .variant import Variant


@dataclass(frozen=True)
class ValidationAnswers:
    """A variant's answers to the validation images, and their true classes: indices, int64 [images]."""

    answers: NDArray[np.int64]
    truth: NDArray[np.int64]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which images are answered right, bool [images]."""
        return np.asarray(self.answers == self.truth)


@dataclass(frozen=True)
class FittedVariant:
    """A variant with its own temperature and threshold; `validation` is None where no image could be read."""

    variant: Variant
    validation: ValidationAnswers | None = None
