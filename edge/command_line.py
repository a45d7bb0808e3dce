"""From the values of a command's parameters back to the words of a command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click


def to_arguments(parameters: Iterable[click.Parameter], values: Mapping[str, Any]) -> list[str]:
    """Return the words that `parameters` parse to `values`, the options first.

    A parameter without a value, or with None, False or (), is left out. An option is one word, --NAME=VALUE,
    since its value may begin with a dash.
    """
    options: list[str] = []
    positional: list[str] = []
    for parameter in parameters:
        value = values.get(parameter.name or "")
        if value is None or value is False or value == ():
            continue
        if not isinstance(parameter, click.Option):
            several = value if isinstance(value, tuple) else (value,)
            positional += [to_text(parameter, one) for one in several]
        elif parameter.is_flag:
            options.append(_long_name(parameter))
        else:
            several = value if parameter.multiple else (value,)
            options += [f"{_long_name(parameter)}={to_text(parameter, one)}" for one in several]
    if any(word.startswith("-") and word != "-" for word in positional):
        options.append("--")
    return [*options, *positional]


def to_text(parameter: click.Parameter, value: Any) -> str:
    """Return one value as the parameter's type reads it."""
    write = getattr(parameter.type, "to_text", str)
    return str(write(value))


def _long_name(option: click.Option) -> str:
    return max(option.opts, key=len)
