"""The command line that a service runs: the one that was typed, made independent of where and by whom."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..errors import OptionError
from ..sources.addresses import redact


@dataclass(frozen=True)
class Rules:
    """What is done with which parameters; they are named as click names them.

    `dropped` are left out. `secret` options move into the environment variable that click reads them from
    where one of their values holds a secret: one that `redact` would change; `always_secret` ones do in any
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


def for_service(context: click.Context, arguments: Sequence[str], rules: Rules) -> CommandLine:
    """Rewrite `arguments`, which `context` was parsed from, for a service.

    Relative paths of files become absolute, and what came from environment variables is written out: the
    service has neither this folder nor this environment. Raises OptionError for a list of files on stdin.
    """
    options: list[str] = []
    positional: list[str] = []
    secrets: dict[str, str] = {}
    for parameter, values in (*_typed(context, arguments), *_from_environment(context)):
        name = parameter.name or ""
        if name in rules.dropped:
            continue
        texts = [value for value in values if isinstance(value, str)]
        exposed = any(redact(text) != text for text in texts)
        if name in rules.always_secret or (name in rules.secret and exposed):
            secrets[str(parameter.envvar)] = _to_variable(texts, parameter)
            continue
        may_be_file = isinstance(parameter.type, click.Path) or name in rules.files
        written = [_absolute(value, parameter) if may_be_file else value for value in values]
        if isinstance(parameter, click.Argument):
            positional += written
        else:
            options += _to_words(parameter, written)
    return CommandLine((*options, *positional), secrets)


def _typed(context: click.Context, arguments: Sequence[str]) -> Iterator[tuple[click.Parameter, list[Any]]]:
    """Yield each parameter that was typed, and its values: texts, or what a flag stands for."""
    parsed, _, order = context.command.make_parser(context).parse_args(list(arguments))
    for parameter in dict.fromkeys(order):
        value = parsed.get(parameter.name or "")
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        yield parameter, [value for value in values if isinstance(value, (str, int))]  # Not click's "unset".


def _from_environment(context: click.Context) -> Iterator[tuple[click.Parameter, list[str]]]:
    for parameter in context.command.params:
        if context.get_parameter_source(parameter.name or "") is ParameterSource.ENVIRONMENT:
            text = os.environ[str(parameter.envvar)]
            several = getattr(parameter, "multiple", False)
            yield parameter, list(parameter.type.split_envvar_value(text)) if several else [text]


def _absolute(value: str, parameter: click.Parameter) -> str:
    """Return the path that does not depend on the folder; what is not meant as a path stays."""
    if isinstance(parameter.type, click.Path):
        if value == "-":
            raise OptionError("a service has nobody to read from: name files or folders instead of -")
        return os.path.abspath(value)  # noqa: PTH100 - Path.absolute keeps "..".
    is_file = not value.isdecimal() and "://" not in value and Path(value).is_file()
    return os.path.abspath(value) if is_file else value  # noqa: PTH100


def _to_words(parameter: click.Parameter, values: Sequence[Any]) -> list[str]:
    """Return an option as words; --NAME=VALUE, since a value may begin with a dash."""
    name = max(parameter.opts, key=len)
    words = []
    for value in values:
        if isinstance(value, str):
            words += [f"{name}={value}"] if name.startswith("--") else [name, value]
        elif value is False:
            words += parameter.secondary_opts[:1]
        else:
            words += [name] * (value if type(value) is int else 1)  # A counted option stands there as often.
    return words


def _to_variable(values: Sequence[str], parameter: click.Parameter) -> str:
    """Return an environment variable's value, which click splits at spaces where several are allowed."""
    if not getattr(parameter, "multiple", False):
        return values[-1]
    return " ".join(value.replace(" ", "%20") for value in values)
