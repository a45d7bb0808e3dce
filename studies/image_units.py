"""Which images of a set belong together: photos of one object, or shots of one place, are not independent.

A rule tells it by the paths of the images, as an option of a study, once for each set that has such:

    --unit 'trash=_(\\d+)/10'        # glass/glass_0011.jpg to glass/glass_0020.jpg are one unit
    --unit 'flowers=_(\\d+)/10@0'    # the same where numbers begin with 0: 0 to 9, 10 to 19
    --unit 'signs=_(\\d+)/run'       # numbers that follow each other without a gap are one unit
    --unit 'birds=([^/]+)_\\d+'      # not numbered: what the groups of the expression match names the unit

The expression is searched for in the path below the set's folder. In the first three forms its last group is
the number, and images of different folders are never one unit. Without a rule each image is a unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath

import click

_FORMS = "SET=EXPRESSION, SET=EXPRESSION/SIZE, SET=EXPRESSION/SIZE@FIRST or SET=EXPRESSION/run"
_GROUPING = re.compile(r"(.*)/(?:([1-9]\d*)(?:@(\d+))?|run)", re.DOTALL)

Names = tuple[str, ...]


class UnitError(click.UsageError):
    """A rule that cannot be read, or that does not fit the images of its set."""


@dataclass(frozen=True)
class UnitRule:
    """How the unit of an image is read from its path.

    `size` numbers are one unit, the first of them from `first` on. With `runs` a unit ends where a number is
    missing. With neither, the groups of `expression` name the unit.
    """

    text: str
    expression: re.Pattern[str]
    size: int | None = None
    first: int = 1
    runs: bool = False

    def units(self, paths: Sequence[str]) -> list[str]:
        """Return the name of each image's unit; raises UnitError for a path that does not fit."""
        if self.size is None and not self.runs:
            return ["/".join(self._groups(path)) for path in paths]
        places = [self._place(path) for path in paths]
        if self.size is not None:
            numbers = [(number - self.first) // self.size for _, number in places]
        else:
            begins = _run_begins(places)
            numbers = [begins[place] for place in places]
        return ["/".join((*where, str(number))) for (where, _), number in zip(places, numbers, strict=True)]

    def _place(self, path: str) -> tuple[Names, int]:
        *names, number = self._groups(path)
        if not (number.isascii() and number.isdigit()):
            raise UnitError(
                f"--unit {self.text}: the last group of the expression must be a number. In {path} it "
                f"matches {number!r}"
            )
        return (str(PurePath(path).parent), *names), int(number)

    def _groups(self, path: str) -> Names:
        found = self.expression.search(path)
        if found is None or None in found.groups():
            raise UnitError(f"--unit {self.text}: the expression does not fit the image {path}")
        return tuple(found.groups())


def parse_rules(texts: Iterable[str]) -> dict[str, UnitRule]:
    """Return the rules of --unit options by the name of the set; raises UnitError."""
    rules: dict[str, UnitRule] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        if not (name and equals and rest):
            raise UnitError(f"--unit takes {_FORMS}. Received: {text}")
        if name in rules:
            raise UnitError(f"--unit: {name} has two rules. Give one")
        grouping = _GROUPING.fullmatch(rest)
        pattern, size, first = grouping.groups() if grouping else (rest, None, None)
        rules[name] = UnitRule(
            text,
            _compile(pattern, text),
            size=int(size) if size else None,
            first=int(first) if first else 1,
            runs=grouping is not None and size is None,
        )
    return rules


def image_units(rules: Mapping[str, UnitRule], set_name: str, paths: Sequence[str]) -> list[str]:
    """Return the unit of each image of a set; the images themselves where the set has no rule."""
    return rules[set_name].units(paths) if set_name in rules else list(paths)


def refuse_unused(rules: Mapping[str, UnitRule], set_names: Iterable[str]) -> None:
    """Raise UnitError for a rule of a set that does not take part."""
    names = sorted(set_names)
    for name, rule in rules.items():
        if name not in names:
            raise UnitError(f"--unit {rule.text}: there is no set {name}. The sets are {', '.join(names)}")


def _compile(pattern: str, text: str) -> re.Pattern[str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UnitError(f"--unit {text}: {pattern} is no regular expression ({error})") from None
    if not expression.groups:
        raise UnitError(
            f"--unit {text}: {pattern} has no group in parentheses, which names or numbers the unit"
        )
    return expression


def _run_begins(places: Iterable[tuple[Names, int]]) -> dict[tuple[Names, int], int]:
    """Return for each place the first number of the run that it belongs to."""
    ordered = sorted(set(places))
    begins = {place: place[1] for place in ordered[:1]}
    for before, this in pairwise(ordered):
        follows = before[0] == this[0] and this[1] == before[1] + 1
        begins[this] = begins[before] if follows else this[1]
    return begins
