"""What a fuzzing target is: a reader, the errors that it documents, and files to begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

Read = Callable[[bytes], object]
Seeds = Callable[[], Iterable[bytes]]


@dataclass(frozen=True)
class Target:
    """A reader that takes any bytes.

    `allowed` are the errors that it documents; anything else that it raises is a finding, and so is
    AssertionError for a promise that the target checks. `seeds` makes the corpus to begin with, of small real
    files; `longest` is the most bytes that are tried.
    """

    name: str
    read: Read
    allowed: tuple[type[Exception], ...]
    seeds: Seeds
    longest: int = 4096

    def try_one(self, data: bytes) -> bool:
        """Return whether the bytes were taken, False where they were refused as documented."""
        try:
            self.read(data)
        except self.allowed:
            return False
        return True
