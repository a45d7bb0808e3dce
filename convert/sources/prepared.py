"""The check that a model answers alike before and after it was prepared for conversion."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...edge.errors import ConversionError

_SAME = 1e-3
_SAME_GREY = 1e-2  # The runner rounds brightness to whole numbers, and a graph does not.


def require_same_answers(
    name: str, prepared: NDArray[Any], as_loaded: NDArray[Any], grey: bool = False
) -> None:
    """Raise ConversionError where probabilities, [pictures, classes], differ: what was added is wrong."""
    difference = float(np.abs(prepared - as_loaded).max())
    if difference > (_SAME_GREY if grey else _SAME):
        raise ConversionError(
            f"{name} answers otherwise since it was prepared for conversion (by up to {difference:.3g}). "
            "This is a fault of edge-convert: report it, with the file"
        )
