"""One line of the doctor's report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclass(frozen=True)
class Finding:
    """What one check found: `status` is "ok", "warning" or "error"; `remedy` says what to do, None for "ok".

    `detail` may hold names that others chose, such as labels and files: print it with `console.printable`.
    """

    name: str
    status: str
    detail: str
    remedy: str | None = None

    def to_record(self) -> dict[str, Any]:
        """Return the object that --json prints, with the same four keys."""
        return asdict(self)


Check = Callable[[], Iterator[Finding]]


def guarded(name: str, check: Check) -> Iterator[Finding]:
    """Yield what `check` finds; whatever it raises becomes an error of this name, since a doctor goes on."""
    try:
        yield from check()
    except Exception as error:
        yield Finding(
            name,
            ERROR,
            f"this check itself failed ({type(error).__name__}: {error})",
            "Report it with this line, and what is special about this machine",
        )
