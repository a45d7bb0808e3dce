"""How the text of edge-train's options becomes values."""

from __future__ import annotations

import math
import re
from typing import Any

import click

from .options import ALL_LAYERS, AUGMENTATIONS, MODELS

_SIZE = click.IntRange(32, 1024)


class PairType(click.ParamType):  # type: ignore[type-arg]  # Generic only since click 8.2.
    """Two numbers with a comma between them: a value for each phase."""

    name = "A,B"

    def __init__(self, number: type[int] | type[float]) -> None:
        """Take the type of the two numbers."""
        self._number = number

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the option's text."""
        if isinstance(value, tuple):
            return value
        try:
            first, second = (self._number(part) for part in value.split(","))
        except ValueError:
            self.fail(f"must be two numbers, one a phase, such as 10,5. Received: {value}", param, ctx)
        if not (0 <= first < math.inf and 0 <= second < math.inf) or first + second == 0:
            self.fail(f"must not be negative, nor both 0. Received: {value}", param, ctx)
        return first, second


class ImageSizeType(click.ParamType):  # type: ignore[type-arg]  # Generic only since click 8.2.
    """A size for all models, or model=size pairs."""

    name = "N|MODEL=N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, int]:
        """Parse the option's text into a size for each model that is named."""
        if isinstance(value, dict):
            return value
        if re.fullmatch(r"\d+", value):
            return dict.fromkeys(MODELS, _SIZE.convert(value, param, ctx))
        sizes = {}
        for part in value.split(","):
            model, _, size = part.partition("=")
            if model not in MODELS or not size.isdecimal():
                self.fail(
                    f"must be a number or such as cnn=32,mobilenet_v2=96. Received: {value}", param, ctx
                )
            sizes[model] = _SIZE.convert(size, param, ctx)
        return sizes


class LayersType(click.ParamType):  # type: ignore[type-arg]  # Generic only since click 8.2.
    """A number of layers, or all."""

    name = "N|all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse the option's text; all is ALL_LAYERS, more than any network has."""
        if isinstance(value, int):
            return value
        if value == "all":
            return ALL_LAYERS
        if not re.fullmatch(r"\d{1,4}", value, re.ASCII):
            self.fail(f"must be a number of layers, or all. Received: {value}", param, ctx)
        return int(value)


class AugmentType(click.ParamType):  # type: ignore[type-arg]  # Generic only since click 8.2.
    """Names with commas between them, or none."""

    name = "LIST"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Parse the option's text."""
        if isinstance(value, tuple):
            return value
        names = () if value == "none" else tuple(dict.fromkeys(value.split(",")))
        for name in names:
            if name not in AUGMENTATIONS:
                valid = ", ".join((*AUGMENTATIONS, "none"))
                self.fail(f"knows {valid}. Received: {name!r}", param, ctx)
        return names
