"""Images that a model is trained or measured on, as rows of arrays. Needs no Keras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Examples:
    """Rows of `pixels`, uint8 [n, size, size, 3], and their class indices `truth`, int64 [rows]."""

    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    truth: NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """Inputs of one or more views of each image: `values[place[view, image]]`; `views[image]` has the number.

    `values` may be a memory map, of pixels or activations; `truth` is int64 [images].
    """

    values: NDArray[Any]
    place: NDArray[np.int64]
    views: NDArray[np.int64]
    truth: NDArray[np.int64]

    @classmethod
    def of_pixels(cls, examples: Examples) -> Table:
        """Return the images as they are, one view of each."""
        return cls(examples.pixels, examples.rows[None], np.ones_like(examples.rows), examples.truth)
