"""A model file in the making. Imported after TensorFlow."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

from ..edge.card import ConversionInfo, ModelCard
from .calibration import CalibrationSet
from .converter import takes_temperature, to_tflite, trace
from .recipes import Recipe
from .sealing import complete_card, seal


@dataclass(frozen=True)
class Candidate:
    """A flatbuffer that was made and not yet scored; its card has no accuracy yet.

    `seconds` is how long TensorFlow took.
    """

    recipe: Recipe
    flatbuffer: bytes
    card: ModelCard
    seconds: float

    @property
    def sealed(self) -> bytes:
        """The file as the interpreter's classifier takes it."""
        return seal(self.flatbuffer, self.card)

    @property
    def step(self) -> float:
        """The distance between neighbouring probabilities that it can give; 0 for float."""
        return self.card.output.scale if self.card.output.dtype == "uint8" else 0.0


class CandidateMaker:
    """Makes the candidates of one Keras model."""

    def __init__(self, model: Any, card: ModelCard, calibration: CalibrationSet | None) -> None:
        """Take what all candidates share; `calibration` is needed for the recipes that say so."""
        self.model, self.card = model, card
        self._calibration = calibration
        self._functions: dict[float, Any] = {}

    @property
    def takes_temperature(self) -> bool:
        """Whether another temperature than 1 can be built in."""
        return takes_temperature(self.model)

    def make(self, recipe: Recipe, temperature: float) -> Candidate:
        """Convert by `recipe` with `temperature` built in; raises ConversionError when that cannot be.

        Tracing takes seconds, and is done once a temperature.
        """
        if temperature not in self._functions:
            self._functions[temperature] = trace(self.model, self.card, temperature)
        started = time.monotonic()
        flatbuffer = to_tflite(self._functions[temperature], recipe, self._calibration)
        seconds = time.monotonic() - started
        card = complete_card(flatbuffer, self.card, recipe.io)
        card = replace(
            card,
            output=replace(card.output, temperature=temperature),
            conversion=self._provenance(recipe),
            accuracy=None,
        )
        return Candidate(recipe, flatbuffer, card, seconds)

    def _provenance(self, recipe: Recipe) -> ConversionInfo:
        versions = {name: version(name) for name in ("edge-classify", "tensorflow", "ai-edge-litert")}
        info = self._calibration.info if self._calibration and recipe.calibrated else None
        return ConversionInfo(recipe.name, recipe.to_json(), info, versions)
