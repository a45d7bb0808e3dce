"""Which options go together: declared on each option, checked by one function, said in the same words.

    Option(["--rotate"], requires=Given("camera"))         without --camera: a usage error
    Option(["--csv"], excludes=Given("as_json"))           with --json: a usage error
    Option(["--smooth"], useless_without=MOVING)           without a video: a remark
    Option(["--inspect"], takes=("path", "as_json"))       a mode: all other options are usage errors
    Option(["--audit-only"], takes=("data",), lenient=True)  a mode: all other options get a remark

Nobody is told off for a default, nor for what an environment variable says: only for what was typed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import click
from click.core import ParameterSource


class Condition(Protocol):
    """What an option depends on."""

    def holds(self, context: click.Context) -> bool:
        """Return whether it is there."""
        ...

    def words(self, context: click.Context) -> str:
        """Return its name in messages."""
        ...


class Given:
    """Any of these parameters, called as click calls them, typed or from an environment variable."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def holds(self, context: click.Context) -> bool:
        """Return whether one of them has a value that is no default."""
        return any(_is_given(context, name) for name in self._names)

    def words(self, context: click.Context) -> str:
        """Return "--output, --report or --baseline"."""
        parameters = {parameter.name: parameter for parameter in context.command.params}
        return _listed([shown(parameters[name]) for name in self._names], "or")


class When:
    """A condition on the values of all parameters, with its name."""

    def __init__(self, words: str, holds: Callable[[Mapping[str, Any]], object]) -> None:
        self._words, self._holds = words, holds

    def holds(self, context: click.Context) -> bool:
        """Return whether the values meet it."""
        return bool(self._holds(context.params))

    def words(self, _: click.Context) -> str:
        """Return its name."""
        return self._words


Conditions = Condition | Sequence[Condition]


class Option(click.Option):
    """An option with its rules, which --help-all shows under a heading, and --help where it is `first`.

    `requires` and `useless_without` are conditions that must all hold, of `excludes` none may. An option with
    `takes` is a mode of the command: with it only the parameters of these names have an effect. Others are
    refused, unless `lenient`.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        heading: str | None = None,
        first: bool = False,
        requires: Conditions = (),
        excludes: Conditions = (),
        useless_without: Conditions = (),
        takes: Sequence[str] | None = None,
        lenient: bool = False,
        **attributes: Any,
    ) -> None:
        """Take click's arguments, where it is shown, and the rules."""
        super().__init__(names, **attributes)
        self.heading = heading
        self.first = first
        self.requires = _several(requires)
        self.excludes = _several(excludes)
        self.useless_without = _several(useless_without)
        self.takes = takes
        self.lenient = lenient


def check_rules(context: click.Context) -> list[str]:
    """Return remarks that name the options without effect; raises UsageError where a rule is broken."""
    typed = [p for p in context.command.params if is_typed(context, p)]
    options = [p for p in typed if isinstance(p, Option)]
    useless: dict[str, list[click.Parameter]] = {}
    for mode in (option for option in options if option.takes is not None):
        for other in typed:
            if other is mode or other.name in (mode.takes or ()):
                continue
            if not mode.lenient:
                raise _conflict(context, shown(other), shown(mode))
            useless.setdefault(f"with {shown(mode)}", []).append(other)
    for option in options:
        for condition in option.requires:
            if not condition.holds(context):
                raise goes_with(context, shown(option), condition.words(context))
        for condition in option.excludes:
            if condition.holds(context):
                raise _conflict(context, shown(option), condition.words(context))
        missing = [c.words(context) for c in option.useless_without if not c.holds(context)]
        if missing and not any(option in named for named in useless.values()):
            useless.setdefault(f"without {missing[0]}", []).append(option)
    return [no_effect([shown(p) for p in named], where) for where, named in useless.items()]


def goes_with(context: click.Context, option: str, wanted: str) -> click.UsageError:
    """Return the error of an option that has no effect without something else."""
    return click.UsageError(f"{option} goes with {wanted}, which is not given.", context)


def no_effect(options: Sequence[str], where: str) -> str:
    """Return the remark about options without effect; `where` begins with "with" or "without"."""
    return f"{_listed(options, 'and')} {'has' if len(options) == 1 else 'have'} no effect {where}"


def late_remark(context: click.Context, condition: Condition) -> str | None:
    """Return the remark about the options that were typed and are useless without `condition`, if any.

    It is for a condition that counts as met until the input has been read.
    """
    useless = [
        shown(p)
        for p in context.command.params
        if isinstance(p, Option) and condition in p.useless_without and is_typed(context, p)
    ]
    return no_effect(useless, f"without {condition.words(context)}") if useless else None


def is_typed(context: click.Context, parameter: click.Parameter) -> bool:
    """Return whether a parameter stands on the command line itself."""
    return context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE


def shown(parameter: click.Parameter) -> str:
    """Return how messages call a parameter: "--output", or "PATH"."""
    if isinstance(parameter, click.Option):
        return parameter.opts[0]
    return parameter.human_readable_name.strip("[].")


def _conflict(context: click.Context, option: str, other: str) -> click.UsageError:
    return click.UsageError(f"{option} does not go with {other}. Leave one of them out.", context)


def _is_given(context: click.Context, name: str) -> bool:
    value = context.params.get(name)
    sources = ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT
    empty = value is None or value is False or value == ()
    return not empty and context.get_parameter_source(name) in sources


def _several(conditions: Conditions) -> Sequence[Condition]:
    return conditions if isinstance(conditions, Sequence) else (conditions,)


def _listed(names: Sequence[str], word: str) -> str:
    return f" {word} ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
