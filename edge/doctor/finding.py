"""One line of the doctor's report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclass(frozen=True)
class Finding:
    """The result of one check: `status` is "ok", "warning" or "error", `remedy` what to do, None for "ok".

    `detail` may contain foreign text, such as labels and file names: print it with `console.printable`.
    """

    name: str
    status: str
    detail: str
    remedy: str | None = None

    def to_record(self) -> dict[str, str | None]:
        """Return the object that --json prints, with the same four keys."""
        return asdict(self)


Check = Callable[[], Iterator[Finding]]


def guarded(name: str, check: Check) -> Iterator[Finding]:
    """Yield the findings of `check`; an exception becomes an error of this name, so that others go on."""
    try:
        yield from check()
    except Exception as error:
        yield Finding(
            name,
            ERROR,
            f"this check itself failed ({type(error).__name__}: {error})",
            "Report this line, and describe what is special about this machine",
        )
