"""One variant of a model: made by a recipe, completed by a card, and given a temperature."""

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
from .sources.job import FloatModel
from .tflite.compatibility import OlderRuntime, unsupported


@dataclass(frozen=True)
class Variant:
    """A flatbuffer that was made and not yet scored; its card has no accuracy yet.

    `plain` is the same model at temperature 1, and `seconds` the time that making it took. `step` is the
    distance between neighbouring probabilities that it can give; 0 for float.
    """

    recipe: Recipe
    plain: bytes
    flatbuffer: bytes
    card: ModelCard
    seconds: float
    step: float

    @property
    def sealed(self) -> bytes:
        """The file with its card, which Classifier can run."""
        return seal(self.flatbuffer, self.card)

    @property
    def takes_temperature(self) -> bool:
        """Whether another temperature than 1 can be built in."""
        return takes_temperature(self.plain)

    def at(self, temperature: float) -> Variant:
        """Return the variant with `temperature` built in, and without an output for unknown things.

        Raises ConversionError where it takes none.
        """
        output = replace(self.card.output, temperature=temperature, unknown=None)
        changed = with_temperature(self.plain, temperature)
        return replace(self, flatbuffer=changed, card=replace(self.card, output=output))


class VariantMaker:
    """Makes the variants of one model."""

    def __init__(
        self,
        model: FloatModel,
        card: ModelCard,
        calibration: CalibrationSet | None,
        target: OlderRuntime | None = None,
    ) -> None:
        """Take what all variants share; recipes that are `calibrated` need `calibration`."""
        self.card = card
        self._model, self._calibration, self._target = model, calibration, target

    def make(self, recipe: Recipe, temperature: float) -> Variant:
        """Convert by `recipe`, with `temperature` built in where the model takes one.

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
    ) -> Variant:
        """Return the variant of a flatbuffer at temperature 1; its card holds the recipe and `details`.

        `calibration` is the set that it was calibrated with, by default the maker's. Raises ConversionError
        when the flatbuffer breaks the contract, or the older runtime cannot run it.
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
        variant = Variant(recipe, flatbuffer, flatbuffer, card, seconds, output_step(flatbuffer))
        if temperature == 1 or variant.takes_temperature:
            return variant.at(temperature)
        say(f"{card.name}: {recipe.name} is without the temperature {temperature:.2f}: {TAKES_NONE}")
        return variant

    def _provenance(
        self, recipe: Recipe, details: Mapping[str, Any], calibration: CalibrationSet | None
    ) -> ConversionInfo:
        packages = dict.fromkeys(("edge-classify", *self._model.packages(recipe), "ai-edge-litert"))
        versions = {name: version(name) for name in packages}
        info = calibration.info if calibration and recipe.calibrated else None
        target = self._target.name if self._target else None
        return ConversionInfo(recipe.name, {**recipe.to_json(), **details}, info, versions, target)
