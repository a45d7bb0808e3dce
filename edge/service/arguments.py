"""The command line that a service runs: the one that was typed, whatever the folder and the environment."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..command_line import to_arguments, to_text
from ..errors import OptionError
from ..sources.addresses import redact

_GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


@dataclass(frozen=True)
class Rules:
    """How the parameters are treated; they are called as click calls them.

    `dropped` are left out. `secret` options move into the environment variable that click reads them from
    where one of their values holds a secret, which `redact` would change; `always_secret` ones do in any
    case. `files` may name a file or something else: they name a file where there is one of that name. The
    values of type click.Path always do.
    """

    dropped: Collection[str]
    secret: Collection[str]
    always_secret: Collection[str]
    files: Collection[str]


@dataclass(frozen=True)
class CommandLine:
    """Arguments without the program's name, and environment variables for what others must not see."""

    arguments: tuple[str, ...]
    secrets: Mapping[str, str]


def for_service(context: click.Context, rules: Rules) -> CommandLine:
    """Return the command line that `context` was parsed from, for a service.

    Relative paths of files become absolute, and what came from environment variables is written out: the
    service has neither this folder nor this environment. Raises OptionError for a list of files on stdin.
    """
    values: dict[str, Any] = {}
    secrets: dict[str, str] = {}
    for parameter in context.command.params:
        name = parameter.name or ""
        value = context.params.get(name)
        if name in rules.dropped or value is None or context.get_parameter_source(name) not in _GIVEN:
            continue
        texts = [to_text(parameter, one) for one in (value if isinstance(value, tuple) else (value,))]
        exposed = any(redact(text) != text for text in texts)
        if name in rules.always_secret or (name in rules.secret and exposed):
            secrets[str(parameter.envvar)] = _to_variable(texts, parameter)
        elif isinstance(parameter.type, click.Path) or name in rules.files:
            absolute = tuple(_absolute(text, parameter) for text in texts)
            values[name] = absolute if isinstance(value, tuple) else absolute[0]
        else:
            values[name] = value
    return CommandLine(tuple(to_arguments(context.command.params, values)), secrets)


def _absolute(value: str, parameter: click.Parameter) -> str:
    """Return a path that does not depend on the folder; a value that is no path stays."""
    if isinstance(parameter.type, click.Path):
        if value == "-":
            raise OptionError("a service has nobody to read from: name files or folders instead of -")
        return os.path.abspath(value)  # noqa: PTH100 - Path.absolute keeps "..".
    is_file = not value.isdecimal() and "://" not in value and Path(value).is_file()
    return os.path.abspath(value) if is_file else value  # noqa: PTH100


def _to_variable(values: list[str], parameter: click.Parameter) -> str:
    """Return an environment variable's value, which click splits at spaces where several are allowed."""
    if not getattr(parameter, "multiple", False):
        return values[-1]
    return " ".join(value.replace(" ", "%20") for value in values)
