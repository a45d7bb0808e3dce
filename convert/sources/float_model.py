"""A float classifier from which all variants are made, and which they are compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..calibration import CalibrationSet
from ..recipes import RECIPES, Recipe
from ..tflite.compatibility import OlderRuntime

_WITH_FLOAT_IO = RECIPES["int8-float-io"]


class FloatModel(Protocol):
    """Takes RGB pixels 0..255 and gives probabilities, without temperature.

    `framework` is what it is run with: "Keras", "TensorFlow" or "LiteRT"; `package` the distribution
    that converts it.
    """

    framework: str
    package: str

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return what it gives for uint8 [n, height, width, 3]: float32 [n, classes]."""

    def make(self, recipe: Recipe, calibration: CalibrationSet | None) -> bytes:
        """Return the variant's flatbuffer at temperature 1, without metadata; raises ConversionError."""


class TracedModel:
    """A model that TensorFlow runs and converts: one trace and one calibration do for all variants."""

    package = "tensorflow"

    def __init__(
        self,
        call: Callable[[Any], Any],
        height: int,
        width: int,
        framework: str = "Keras",
        target: OlderRuntime | None = None,
    ) -> None:
        """Take `call`, which maps float32 [n, height, width, 3] of 0..255 to probabilities [n, classes]."""
        self.framework = framework
        self._call, self._size, self._target = call, (height, width), target
        self._function: Any = None
        self._int8: tuple[CalibrationSet | None, bytes] | None = None

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See FloatModel."""
        return np.asarray(self._call(pixels.astype(np.float32)), np.float32)

    def make(self, recipe: Recipe, calibration: CalibrationSet | None) -> bytes:
        """See FloatModel."""
        from ..tflite.flatgraph import repack
        from .converter import to_uint8_io

        if recipe.activations != "int8":
            return repack(self._convert(recipe, calibration))
        if self._int8 is None or self._int8[0] is not calibration:
            self._int8 = calibration, self._convert(_WITH_FLOAT_IO, calibration)
        return repack(to_uint8_io(self._int8[1]) if recipe.io == "uint8" else self._int8[1])

    def _convert(self, recipe: Recipe, calibration: CalibrationSet | None) -> bytes:
        from .converter import to_tflite, trace

        if self._function is None:
            self._function = trace(self._call, *self._size)
        return to_tflite(self._function, recipe, calibration, self._target)
