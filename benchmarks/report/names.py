"""What files are called in a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..results.names import short_name
from ..results.result import Failure, Result


@dataclass(frozen=True)
class Naming:
    """Files are named without folders, ".tflite" and the `beginning` that all of a report share."""

    beginning: str = ""

    @classmethod
    def of(cls, results: Sequence[Result | Failure]) -> Naming:
        """Return the naming for these results' files; what they share is cut after a "_", "-" or "."."""
        files = [result.subject.file if isinstance(result, Result) else result.file for result in results]
        names = {short_name(file) for file in files}
        if len(names) < 2:
            return cls()
        first, last = min(names), max(names)  # What these two share, all names between them share too.
        pairs = enumerate(zip(first, last, strict=False))
        shared = next((place for place, (a, b) in pairs if a != b), len(first))
        cut = 1 + max(first.rfind(mark, 0, shared) for mark in "_-.")
        return cls(first[:cut]) if first[cut:] else cls()

    def short(self, file: str) -> str:
        """Return what a file is called."""
        return short_name(file).removeprefix(self.beginning)
