"""What results are called: as short as tells them apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePath

from .result import Failure, Result


def short_name(file: str) -> str:
    """Return a model file's name without folders and ".tflite"."""
    name = PurePath(file.replace("\\", "/")).name or file
    return name.removesuffix(".tflite") or name


def result_names(results: Sequence[Result], short: Callable[[str], str] = short_name) -> list[str]:
    """Return a name for each of one machine's results.

    It is the file's, by `short`, and what it was run with where that varies. Files that are called the same
    get their folders, and what is the same in all that gets a number.
    """
    subjects = [result.subject for result in results]
    doubled = Counter(short(file) for file in {subject.file for subject in subjects})
    varies = {
        part: len({getattr(subject, part) for subject in subjects}) > 1
        for part in ("threads", "runtime", "delegate")
    }
    names = []
    for subject in subjects:
        name = short(subject.file)
        parts = [name if doubled[name] == 1 else subject.file.removesuffix(".tflite")]
        if varies["threads"]:
            parts.append(_threads(subject.threads))
        if varies["runtime"]:
            parts.append(subject.runtime)
        if varies["delegate"]:
            parts.append(_library(subject.delegate) if subject.delegate else "no delegate")
        names.append(", ".join(parts))
    return numbered(names)


def failure_name(failure: Failure, short: Callable[[str], str] = short_name) -> str:
    """Return what a model that could not be measured is called, with all that it was run with."""
    parts = [short(failure.file), _threads(failure.threads), failure.runtime]
    parts.append(_library(failure.delegate) if failure.delegate else None)
    return ", ".join(part for part in parts if part)


def numbered(names: Sequence[str]) -> list[str]:
    """Return the names; those that are there several times get a number."""
    total, seen = Counter(names), Counter[str]()
    found = []
    for name in names:
        seen[name] += 1
        found.append(f"{name} ({seen[name]})" if total[name] > 1 else name)
    return found


def _threads(threads: int) -> str:
    return f"{threads} thread{'' if threads == 1 else 's'}"


def _library(delegate: str) -> str:
    """Return a delegate's library without folders and "lib...so.1"."""
    return re.sub(r"^lib|\.so[.\d]*$", "", short_name(delegate))
