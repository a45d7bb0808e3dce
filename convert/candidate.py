"""A model file in the making."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

from ..edge.card import ConversionInfo, ModelCard
from ..edge.console import say
from ..edge.errors import ConversionError
from ..edge.tflite.last_layer import TAKES_NONE, output_step, takes_temperature, with_temperature
from ..edge.tflite.sealing import complete_card, seal
from .calibration import CalibrationSet
from .recipes import Recipe
from .sources.float_model import FloatModel
from .tflite.compatibility import OlderRuntime, unsupported


@dataclass(frozen=True)
class Candidate:
    """A flatbuffer that was made and not yet scored; its card has no accuracy yet.

    `plain` is the same at temperature 1, and `seconds` how long it took to make that. `step` is the distance
    between neighbouring probabilities that it can give; 0 for float.
    """

    recipe: Recipe
    plain: bytes
    flatbuffer: bytes
    card: ModelCard
    seconds: float
    step: float

    @property
    def sealed(self) -> bytes:
        """The file as the interpreter's classifier takes it."""
        return seal(self.flatbuffer, self.card)

    @property
    def takes_temperature(self) -> bool:
        """Whether another temperature than 1 can be built in."""
        return takes_temperature(self.plain)

    def at(self, temperature: float) -> Candidate:
        """Return the same with `temperature` built in; raises ConversionError where that cannot be."""
        output = replace(self.card.output, temperature=temperature)
        changed = with_temperature(self.plain, temperature)
        return replace(self, flatbuffer=changed, card=replace(self.card, output=output))


class CandidateMaker:
    """Makes the candidates of one model."""

    def __init__(
        self,
        model: FloatModel,
        card: ModelCard,
        calibration: CalibrationSet | None,
        target: OlderRuntime | None = None,
    ) -> None:
        """Take what all candidates share; `calibration` is needed for the recipes that say so."""
        self.card = card
        self._model, self._calibration, self._target = model, calibration, target

    def make(self, recipe: Recipe, temperature: float) -> Candidate:
        """Convert by `recipe` with `temperature` built in, where that can be.

        Raises ConversionError when the model cannot be converted.
        """
        started = time.monotonic()
        flatbuffer = self._model.make(recipe, self._calibration)
        return self.finish(recipe, flatbuffer, temperature, time.monotonic() - started)

    def finish(
        self,
        recipe: Recipe,
        flatbuffer: bytes,
        temperature: float,
        seconds: float,
        details: Mapping[str, Any] | None = None,
        calibration: CalibrationSet | None = None,
    ) -> Candidate:
        """Complete the card of a flatbuffer at temperature 1; `details` join the recipe in it.

        `calibration` is what it was calibrated with, if not with the maker's.

        Raises ConversionError when it breaks the contract, or the older runtime can't run it.
        """
        if self._target is not None and (lacking := unsupported(flatbuffer, self._target)):
            raise ConversionError(
                f"{self._target.name} cannot run the {recipe.name} variant: it lacks {', '.join(lacking)}. "
                "Leave that variant out"
            )
        card = complete_card(flatbuffer, self.card, recipe.io)
        info = self._provenance(recipe, details or {}, calibration or self._calibration)
        card = replace(
            card, output=replace(card.output, temperature=1.0), conversion=info, accuracy=None, golden=()
        )
        candidate = Candidate(recipe, flatbuffer, flatbuffer, card, seconds, output_step(flatbuffer))
        if temperature == 1 or candidate.takes_temperature:
            return candidate.at(temperature)
        say(f"{card.name}: {recipe.name} is without the temperature {temperature:.2f}: {TAKES_NONE}")
        return candidate

    def _provenance(
        self, recipe: Recipe, details: Mapping[str, Any], calibration: CalibrationSet | None
    ) -> ConversionInfo:
        packages = dict.fromkeys(("edge-classify", self._model.package, "ai-edge-litert"))
        versions = {name: version(name) for name in packages}
        info = calibration.info if calibration and recipe.calibrated else None
        target = self._target.name if self._target else None
        return ConversionInfo(recipe.name, {**recipe.to_json(), **details}, info, versions, target)
