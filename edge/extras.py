"""What to install for an option: the packages themselves, as this copy's own metadata names them.

`pip install "edge-classify[mqtt]"` would ask the package index for edge-classify, and take what anybody has
put there under that name; this copy came from somewhere else. So its name appears in no remedy.
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from itertools import chain

DISTRIBUTION = "edge-classify"
# PEP 508: a name, its extras, the versions, and after the semicolon where it holds.
_REQUIREMENT = re.compile(r"\s*([\w.-]+)\s*(?:\[([^\]]*)\])?\s*([^;]*?)\s*(?:;(.*))?")
_CONDITION = re.compile(r"""\(*\s*(\w+)\s*(==|!=|<=|>=|<|>)\s*["']([^"']*)["']\s*\)*""")


def requirements(extra: str) -> tuple[str, ...]:
    """Return what pip needs for this extra on this machine, such as ("paho-mqtt>=2",).

    Where this copy is not installed, but only copied, its metadata is not there: then it is the extra of the
    folder in which setup.cfg lies.
    """
    from importlib import metadata

    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        lines = []
    return tuple(dict.fromkeys(_expand(extra, lines))) or (f".[{extra}]",)


def pip_install(extra: str) -> str:
    """Return the command that installs an extra's packages."""
    return pip_command(requirements(extra))


def pip_command(packages: tuple[str, ...]) -> str:
    """Return the command that installs packages, each in quotes, since a shell reads > and <."""
    where = " in the folder of edge-classify" if any(name.startswith(".[") for name in packages) else ""
    return " ".join(["pip install", *(f'"{name}"' for name in packages)]) + where


def _expand(extra: str, lines: list[str], seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the requirements of an extra, and of those of this package that it names itself."""
    for line in lines:
        match = _REQUIREMENT.fullmatch(line)
        if match is None or not _holds(match[4] or "", extra):
            continue
        name, inner, versions = match[1], match[2], match[3].strip(" ()").replace(" ", "")
        if re.sub(r"[-_.]+", "-", name).lower() == DISTRIBUTION:
            own = [each.strip() for each in (inner or "").split(",") if each.strip() not in seen]
            yield from chain.from_iterable(_expand(each, lines, seen | {extra}) for each in own)
        else:
            yield f"{name}[{inner}]{versions}" if inner else f"{name}{versions}"


def _holds(marker: str, extra: str) -> bool:
    """Return whether a requirement is one of this extra's, and for this machine.

    Only conditions that are joined by "and" are understood, as setup.cfg has them; others count as true.
    """
    conditions = _CONDITION.findall(marker)
    if ("extra", "==", extra) not in conditions:
        return False
    return all(_is_true(*condition) for condition in conditions if condition[0] != "extra")


def _is_true(variable: str, operator: str, value: str) -> bool:
    if variable == "python_version":
        own, other = sys.version_info[:2], tuple(map(int, value.split(".")[:2]))
        results = {"<": own < other, "<=": own <= other, ">": own > other, ">=": own >= other}
        return {**results, "==": own == other, "!=": own != other}[operator]
    here = {"sys_platform": sys.platform, "platform_machine": platform.machine()}
    if variable in here and operator in ("==", "!="):
        return (here[variable] == value) == (operator == "==")
    return True
