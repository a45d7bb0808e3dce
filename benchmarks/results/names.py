"""Names of results: as short as possible, and different for different results."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from .result import Failure, Result

_ENDING = ".tflite"


@dataclass(frozen=True)
class Naming:
    """Model files are named without folders, without `beginning`, and without `ending`."""

    beginning: str = ""
    ending: str = _ENDING

    @classmethod
    def of(cls, results: Sequence[Result | Failure]) -> Naming:
        """Return a naming without the beginning that all files share, up to a "_", "-" or "."."""
        names = {short_name(result.file) for result in results}
        if len(names) < 2:
            return cls()
        first, last = min(names), max(names)  # What these two share, all names between them share too.
        pairs = enumerate(zip(first, last, strict=False))
        shared = next((place for place, (a, b) in pairs if a != b), len(first))
        cut = 1 + max(first.rfind(mark, 0, shared) for mark in "_-.")
        return cls(first[:cut]) if first[cut:] else cls()

    def short(self, file: str) -> str:
        """Return the name of a file."""
        name = PurePath(file.replace("\\", "/")).name or file
        return (name.removesuffix(self.ending) or name).removeprefix(self.beginning)

    def with_folders(self, file: str) -> str:
        """Return the name of a file whose short name is that of another file, too."""
        return file.removesuffix(self.ending)


SHORT = Naming()
FILE_NAMES = Naming(ending="")  # For what people copy: "cnn_int8.tflite".


def short_name(file: str) -> str:
    """Return the name of a model file without folders and ".tflite"."""
    return SHORT.short(file)


def result_names(results: Sequence[Result], naming: Naming = SHORT) -> list[str]:
    """Return a name for each result of one machine.

    It is the name of the file, followed by threads, runtime and delegate where these vary. Files of the same
    name get their folders, and results that are alike in everything get a number.
    """
    subjects = [result.subject for result in results]
    files = Counter(naming.short(file) for file in {subject.file for subject in subjects})
    varies = {
        part: len({getattr(subject, part) for subject in subjects}) > 1
        for part in ("threads", "runtime", "delegate")
    }
    names = []
    for subject in subjects:
        name = naming.short(subject.file)
        parts = [name if files[name] == 1 else naming.with_folders(subject.file)]
        if varies["threads"]:
            parts.append(_threads(subject.threads))
        if varies["runtime"]:
            parts.append(subject.runtime)
        if varies["delegate"]:
            parts.append(_library(subject.delegate) if subject.delegate else "no delegate")
        names.append(", ".join(parts))
    return numbered(names)


def failure_name(failure: Failure, naming: Naming = SHORT) -> str:
    """Return the name of a model that could not be measured, with threads, runtime and delegate."""
    parts = [naming.short(failure.file), _threads(failure.threads), failure.runtime]
    parts.append(_library(failure.delegate) if failure.delegate else None)
    return ", ".join(part for part in parts if part)


def numbered(names: Sequence[str]) -> list[str]:
    """Return the names, each with a number behind it where it occurs several times."""
    total, seen = Counter(names), Counter[str]()
    found = []
    for name in names:
        seen[name] += 1
        found.append(f"{name} ({seen[name]})" if total[name] > 1 else name)
    return found


def _threads(threads: int) -> str:
    return f"{threads} thread{'' if threads == 1 else 's'}"


def _library(delegate: str) -> str:
    """Return the name of a delegate's library without folders, "lib" and ".so.1"."""
    return re.sub(r"^lib|\.so[.\d]*$", "", short_name(delegate))
