"""What the options of commands are made of: headings in --help, and values that are parsed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import click

from .console import Command
from .errors import OptionError
from .runtime import MAX_THREADS

_UNITS = {"": 1, "B": 1, "K": 10**3, "KB": 10**3, "M": 10**6, "MB": 10**6, "G": 10**9, "GB": 10**9}


class SectionOption(click.Option):
    """An option that --help shows under a heading."""

    def __init__(self, names: Sequence[str], section: str, **attributes: Any) -> None:
        """Take click's arguments, and the heading."""
        super().__init__(names, **attributes)
        self.section = section


def section(heading: str) -> Callable[..., Callable[..., Any]]:
    """Return click.option for options under a heading."""

    def option(*names: str, **attributes: Any) -> Callable[..., Any]:
        return click.option(*names, cls=SectionOption, section=heading, **attributes)

    return option


class SectionedCommand(Command):
    """A command whose --help groups options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section, in the order in which they were declared."""
        sections: dict[str, list[tuple[str, str]]] = {}
        options = [parameter for parameter in self.get_params(ctx) if isinstance(parameter, click.Option)]
        for option in sorted(options, key=lambda option: not isinstance(option, SectionOption)):
            record = option.get_help_record(ctx)
            if record is not None:
                heading = option.section if isinstance(option, SectionOption) else "Other"
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


class ParsedType(click.ParamType):  # type: ignore[type-arg]  # Generic only since click 8.2.
    """A value that a function reads from text, raising OptionError or ValueError when it cannot."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        """Take the name for --help, and the function."""
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse text; what is parsed already passes."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except (OptionError, ValueError) as error:
            self.fail(str(error), param, ctx)


def parse_size(text: str) -> tuple[int, int]:
    """Read WIDTHxHEIGHT in pixels; raises ValueError."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise ValueError(f"must be WIDTHxHEIGHT, such as 640x480. Received: {text}")
    return int(match[1]), int(match[2])


def parse_bytes(text: str) -> int:
    """Read a number of bytes such as 500MB or 2G, in powers of ten; raises ValueError."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?) ?([KMG]?B?)", text.upper())
    if match is None:
        raise ValueError(f"must be a number of bytes, such as 500MB or 2GB. Received: {text}")
    size = round(float(match[1]) * _UNITS[match[2]])
    if not size:
        raise ValueError(f"must be above 0. Received: {text}")
    return size


def parse_threads(text: str) -> int | None:
    """Read a number of threads, or "auto", which is None; raises ValueError."""
    if text == "auto":
        return None
    if not text.isdecimal() or not 1 <= int(text) <= MAX_THREADS:
        raise ValueError(f"must be auto, or 1 to {MAX_THREADS}. Received: {text}")
    return int(text)
