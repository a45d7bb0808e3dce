"""The variants of a model, and how each is quantized."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..edge.errors import OptionError

Weights = Literal["float32", "float16", "int8"]


@dataclass(frozen=True)
class Recipe:
    """How one variant is made.

    `weights` and `activations` are stored types; `io` is the dtype of input and output. `tolerance` is the
    largest allowed difference of a golden example's probability on another processor.
    """

    name: str
    weights: Weights
    activations: str
    io: str
    tolerance: float

    @property
    def calibrated(self) -> bool:
        """Whether calibration images are needed."""
        return self.activations != "float32"

    def to_json(self) -> dict[str, Any]:
        """Return the card's record of the recipe."""
        return {key: value for key, value in asdict(self).items() if key not in ("name", "tolerance")}


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("float32", weights="float32", activations="float32", io="float32", tolerance=0.01),
        Recipe("float16", weights="float16", activations="float32", io="float32", tolerance=0.01),
        Recipe("dynamic", weights="int8", activations="float32", io="float32", tolerance=0.05),
        Recipe("int8", weights="int8", activations="int8", io="uint8", tolerance=0.05),
        Recipe("int8-float-io", weights="int8", activations="int8", io="float32", tolerance=0.05),
        Recipe("int16x8", weights="int8", activations="int16", io="float32", tolerance=0.02),
        # int8, except for the layers that need float32.
        Recipe("mixed", weights="int8", activations="int8", io="float32", tolerance=0.05),
    )
}
FLOAT32, INT8, MIXED = RECIPES["float32"], RECIPES["int8"], RECIPES["mixed"]
INT8_FLOAT_IO = RECIPES["int8-float-io"]
DEFAULT_VARIANTS = ("float32", "float16", "dynamic", "int8")


def find_recipe(name: str) -> Recipe:
    """Return the recipe of exactly this name; raises OptionError, which lists the valid names."""
    if name not in RECIPES:
        raise OptionError(f"Unknown variant {name!r}. Valid: {', '.join(RECIPES)}")
    return RECIPES[name]
