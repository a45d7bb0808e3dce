"""What the options of commands are made of: sections of --help-all, and types that read values from text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Literal

import click

from .errors import OptionError
from .option_rules import Option, When
from .runtime import MAX_THREADS

Threads = int | Literal["auto"]
AUTO: Literal["auto"] = "auto"
_MAX_SIDE = 16_384  # As CameraOptions takes it.
_UNITS = {"": 1, "B": 1, "K": 10**3, "KB": 10**3, "M": 10**6, "MB": 10**6, "G": 10**9, "GB": 10**9}


def section(heading: str | None = None) -> Callable[..., Option]:
    """Return what makes options under a heading: option("--name", "-n", help=...)."""

    def option(*names: str, **attributes: Any) -> Option:
        return Option(names, heading=heading, **attributes)

    return option


class ParsedType(click.ParamType):  # type: ignore[type-arg]  # Generic only since click 8.2.
    """A value that `parse` reads from text; `to_text` is its inverse.

    `parse` raises OptionError or ValueError for a text that it cannot read.
    """

    def __init__(self, name: str, parse: Callable[[str], Any], to_text: Callable[[Any], str] = str) -> None:
        """Take the name for --help, and the two functions."""
        self.name = name
        self.to_text = to_text
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse text; a value that is parsed already stays."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except (OptionError, ValueError) as error:
            self.fail(str(error), param, ctx)


def _has_certificate(camera: str | None) -> bool:
    from .sources.camera import has_certificate

    return camera is not None and has_certificate(camera)


def _parse_fingerprint(text: str) -> str:
    from .sources.fingerprints import parse_fingerprint

    return parse_fingerprint(text)


# The type of --tls-fingerprint, and what it needs.
FINGERPRINT = ParsedType("SHA256", _parse_fingerprint)
HTTPS_CAMERA = When("--camera https://...", lambda given: _has_certificate(given["camera"]))


class FiniteRange(click.FloatRange):
    """A range without "nan", which is neither below nor above any limit, and without "inf"."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse the option's text."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


def parse_size(text: str) -> tuple[int, int]:
    """Read WIDTHxHEIGHT in pixels; raises ValueError."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None or max(int(match[1]), int(match[2])) > _MAX_SIDE:
        raise ValueError(
            f"must be WIDTHxHEIGHT, such as 640x480, of at most {_MAX_SIDE} pixels each. Received: {text}"
        )
    return int(match[1]), int(match[2])


def size_to_text(size: tuple[int, int]) -> str:
    """Return what parse_size reads."""
    return f"{size[0]}x{size[1]}"


def parse_bytes(text: str) -> int:
    """Read a number of bytes such as 500MB or 2G, in powers of ten; raises ValueError."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?) ?([KMG]?B?)", text.upper())
    if match is None:
        raise ValueError(f"must be a number of bytes, such as 500MB or 2GB. Received: {text}")
    size = round(float(match[1]) * _UNITS[match[2]])
    if not size:
        raise ValueError(f"must be above 0. Received: {text}")
    return size


def bytes_to_text(size: int) -> str:
    """Return what parse_bytes reads, in the largest unit that makes a whole number."""
    unit = next(unit for unit in ("GB", "MB", "KB", "B") if size % _UNITS[unit] == 0)
    return f"{size // _UNITS[unit]}{unit}"


def parse_threads(text: str) -> Threads:
    """Read a number of threads, or "auto"; raises ValueError."""
    if text == AUTO:
        return AUTO
    if not text.isdecimal() or not 1 <= int(text) <= MAX_THREADS:
        raise ValueError(f"must be auto, or 1 to {MAX_THREADS}. Received: {text}")
    return int(text)
