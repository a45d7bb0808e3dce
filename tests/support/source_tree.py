"""The modules of the source tree, their imports and their classes, read without importing anything."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
_NAMESPACE = "edge_classify."


class Statement(NamedTuple):
    """An import statement with its dots resolved; `names` is empty for `import module`."""

    module: str
    names: tuple[str, ...]
    line: int
    relative: bool
    in_function: bool


class Import(NamedTuple):
    """A module that another one imports."""

    target: str
    line: int
    in_function: bool


@dataclass(frozen=True)
class Module:
    """A source file; `name` is dotted, without edge_classify, such as "edge.doctor.run"."""

    name: str
    path: Path

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.path.read_text(encoding="utf-8"))

    @property
    def shown(self) -> str:
        """The path below the root."""
        return self.path.relative_to(ROOT).as_posix()

    def classes(self) -> list[str]:
        """Return the names of all classes, nested ones too."""
        return [node.name for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)]

    def statements(self) -> Iterator[Statement]:
        """Yield every import, wherever it stands. Raises ValueError where one leaves the root."""
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        in_functions = {
            id(node)
            for function in ast.walk(self.tree)
            if isinstance(function, functions)
            for node in ast.walk(function)
        }
        for node in ast.walk(self.tree):
            inside = id(node) in in_functions
            if isinstance(node, ast.ImportFrom):
                module = self._absolute(node.level, node.module or "")
                names = tuple(alias.name for alias in node.names)
                yield Statement(module, names, node.lineno, node.level > 0, inside)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    yield Statement(alias.name.removeprefix(_NAMESPACE), (), node.lineno, False, inside)

    def _absolute(self, dots: int, module: str) -> str:
        if dots == 0:
            return module.removeprefix(_NAMESPACE)
        parts = self.name.split(".")
        package = parts if self.path.name == "__init__.py" else parts[:-1]
        if dots > len(package) + 1:
            raise ValueError(f"{self.shown}: the relative import of {module!r} leaves the packages")
        return ".".join([*package[: len(package) - dots + 1], *filter(None, [module])])


def read_modules(*folders: str) -> dict[str, Module]:
    """Return the modules below these folders of the root, by name; a package has the name of its folder."""
    found = {}
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[name] = Module(name, path)
    return found


def imports_among(modules: Mapping[str, Module]) -> dict[str, list[Import]]:
    """Return which of the other modules each module imports, wherever the import stands.

    `from package import name` imports the package's module of that name, where there is one.
    """
    found: dict[str, list[Import]] = {}
    for name, module in modules.items():
        found[name] = []
        for statement in module.statements():
            taken = [f"{statement.module}.{each}" for each in statement.names] or [statement.module]
            for full in dict.fromkeys(each if each in modules else statement.module for each in taken):
                if full in modules and full != name:
                    found[name].append(Import(full, statement.line, statement.in_function))
    return found


def circles(imports: Mapping[str, Iterable[Import]]) -> list[list[str]]:
    """Return the shortest circle through each module that is in a circle; each circle once."""
    found: dict[frozenset[str], list[str]] = {}
    for start in imports:
        circle = _way_back(start, imports)
        if circle:
            found.setdefault(frozenset(circle), circle)
    return list(found.values())


def _way_back(start: str, imports: Mapping[str, Iterable[Import]]) -> list[str]:
    """Return the modules on the shortest way from `start` back to it, or an empty list."""
    ways = [[start]]
    seen = {start}
    for way in ways:
        for target in (each.target for each in imports[way[-1]]):
            if target == start:
                return way
            if target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return []
