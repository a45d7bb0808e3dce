"""Results by the machine that they were measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...edge.console import one_line
from .result import Failure, Result


@dataclass(frozen=True)
class Machine:
    """One machine, as --on named it or this one, and what was measured there, in the order given."""

    device: str | None
    results: tuple[Result, ...]
    failures: tuple[Failure, ...]

    @property
    def title(self) -> str:
        """What it is called, and its cores."""
        hosts = [*(result.host for result in self.results), *(failure.host for failure in self.failures)]
        host = hosts[0]
        where = f"{one_line(self.device)}: " if self.device else ""
        return f"{where}{one_line(host.name)}, {host.cores} core{'' if host.cores == 1 else 's'}"

    @property
    def setting(self) -> str:
        """By which runtime the models were run, with how many threads, and on which days."""
        subjects = [result.subject for result in self.results]
        runtimes = ", ".join(dict.fromkeys(one_line(subject.runtime) for subject in subjects))
        threads = ", ".join(str(count) for count in dict.fromkeys(subject.threads for subject in subjects))
        days = sorted({result.origin.started[:10] for result in self.results})
        return f"{runtimes}, threads: {threads}, {' to '.join(dict.fromkeys((days[0], days[-1])))}"


def by_machine(results: Sequence[Result | Failure]) -> list[Machine]:
    """Return the machines in the order in which they come; what the system updates makes no other one."""
    groups: dict[tuple[str | None, str], list[Result | Failure]] = {}
    for item in results:
        device = item.subject.device if isinstance(item, Result) else item.device
        groups.setdefault((device, item.host.fingerprint), []).append(item)
    return [
        Machine(
            device,
            tuple(item for item in group if isinstance(item, Result)),
            tuple(item for item in group if isinstance(item, Failure)),
        )
        for (device, _), group in groups.items()
    ]
