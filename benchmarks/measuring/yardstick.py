"""The model that is measured beside all others, so that results of two days can be compared."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from .plan import CheckedModel

# This file never changes, in no release: results of two days are comparable only where both were measured
# beside the same bytes. It is a copy of the default model of edge/ as that was when 0.1.0 was made; when the
# default model changes, this file stays. tests/test_measuring_yardstick.py holds its SHA-256.
YARDSTICK = Path(__file__).parent / "yardstick.tflite"


@cache
def yardstick_model() -> CheckedModel:
    """Return the yardstick, read and hashed once in this process."""
    return CheckedModel.read(YARDSTICK)
