"""Results that belong together: those of one machine, and those of one subject in two sets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...edge.printable import one_line
from ..host import Host
from .names import numbered
from .result import Failure, Result


@dataclass(frozen=True)
class Machine:
    """One machine and what was measured there, in the order given.

    `device` is the host as --on named it, None for this machine. There is at least one result or failure.
    """

    device: str | None
    results: tuple[Result, ...]
    failures: tuple[Failure, ...]

    @property
    def host(self) -> Host:
        """The machine as the first of its results describes it."""
        return self.everything[0].host

    @property
    def everything(self) -> tuple[Result | Failure, ...]:
        """The results, then the failures."""
        return (*self.results, *self.failures)

    @property
    def title(self) -> str:
        """The name of the machine, and its cores."""
        host = self.host
        where = f"{one_line(self.device)}: " if self.device else ""
        return f"{where}{one_line(host.name)}, {host.cores} core{'' if host.cores == 1 else 's'}"

    @property
    def setting(self) -> str:
        """The runtimes and numbers of threads, and the days of the results, of which there must be one."""
        subjects = [result.subject for result in self.results]
        runtimes = ", ".join(dict.fromkeys(one_line(subject.runtime) for subject in subjects))
        threads = ", ".join(str(count) for count in dict.fromkeys(subject.threads for subject in subjects))
        days = sorted({result.origin.started[:10] for result in self.results})
        return f"{runtimes}, threads: {threads}, {' to '.join(dict.fromkeys((days[0], days[-1])))}"


def by_machine(results: Sequence[Result | Failure]) -> list[Machine]:
    """Group results by device and fingerprint of the host; machines are in the order of their first results.

    An update of the system or of Python does not change the fingerprint.
    """
    groups: dict[tuple[str | None, str], list[Result | Failure]] = {}
    for item in results:
        groups.setdefault((item.device, item.host.fingerprint), []).append(item)
    return [
        Machine(
            device,
            tuple(item for item in group if isinstance(item, Result)),
            tuple(item for item in group if isinstance(item, Failure)),
        )
        for (device, _), group in groups.items()
    ]


def machine_names(machines: Sequence[Machine]) -> list[str]:
    """Return a short name for each: the host as --on named it, else its board; with a number where equal."""
    return numbered([machine.device or machine.host.name for machine in machines])


def common_devices(
    before: Sequence[Result | Failure], after: Sequence[Result | Failure]
) -> dict[str | None, tuple[list[Result], list[Result]]]:
    """Return the results before and after of each device that both sets have results of.

    The results of one device may be of several machines, in either set or between the two.
    """
    found: dict[str | None, tuple[list[Result], list[Result]]] = {}
    for number, side in enumerate((before, after)):
        for machine in by_machine(side):
            found.setdefault(machine.device, ([], []))[number].extend(machine.results)
    return {device: (old, new) for device, (old, new) in found.items() if old and new}


Key = tuple[str | None, str, str | None, int, str, str | None]


@dataclass(frozen=True)
class Side:
    """One set of results by subject, the oldest of each subject first.

    `superseded` are the results that were left out for newer ones, `failures` those after which their subject
    was not measured again.
    """

    subjects: dict[Key, tuple[Result, ...]]
    failures: tuple[Failure, ...]
    superseded: tuple[Result, ...]


def sides(before: Sequence[Result | Failure], after: Sequence[Result | Failure]) -> tuple[Side, Side]:
    """Sort both sets by device, file name without folders, variant, threads, runtime's name and delegate.

    Several results of a subject count together, like more processes of one result, where bytes, version of
    the runtime, machine and yardstick are those of the last of them: so files of several runs may be joined.
    Files of the same name that are different models in one set keep their folders in the key.
    """
    twins = _ambiguous(before) | _ambiguous(after)
    return _side(before, twins), _side(after, twins)


def is_of(failure: Failure, result: Result) -> bool:
    """Return whether a failure is of the subject of `result`; a failure knows no variant."""
    subject = result.subject
    return (
        (failure.device, Path(failure.file).name, failure.threads, _name(failure.delegate))
        == (subject.device, Path(subject.file).name, subject.threads, _name(subject.delegate))
    ) and (failure.runtime is None or package(failure.runtime) == package(subject.runtime))


def package(runtime: str) -> str:
    """Return the name of the package, such as "ai-edge-litert" of "ai-edge-litert 2.1.0"."""
    return runtime.partition(" ")[0]


def _side(results: Sequence[Result | Failure], twins: frozenset[str]) -> Side:
    found: dict[Key, list[Result]] = defaultdict(list)
    failures: list[Failure] = []
    for item in results:
        if isinstance(item, Failure):
            failures.append(item)
        else:
            found[_key(item, twins)].append(item)
            failures = [failure for failure in failures if not is_of(failure, item)]
    subjects = {key: tuple(r for r in group if _alike(r, group[-1])) for key, group in found.items()}
    left_out = (r for group in found.values() for r in group if not _alike(r, group[-1]))
    return Side(subjects, tuple(failures), tuple(left_out))


def _key(result: Result, twins: frozenset[str]) -> Key:
    s = result.subject
    name = Path(s.file).name
    file = s.file if name in twins else name
    return (s.device, file, s.variant, s.threads, package(s.runtime), _name(s.delegate))


def _alike(result: Result, last: Result) -> bool:
    own, other = (
        (r.subject.sha256, r.subject.runtime, r.host.fingerprint, r.yardstick and r.yardstick.sha256)
        for r in (result, last)
    )
    return own == other


def _ambiguous(results: Sequence[Result | Failure]) -> frozenset[str]:
    """Return the file names that stand for several paths with different bytes."""
    known: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for item in results:
        if isinstance(item, Result):
            known[Path(item.subject.file).name].add((item.subject.file, item.subject.sha256))
    return frozenset(
        name
        for name, seen in known.items()
        if len({f for f, _ in seen}) > 1 and len({h for _, h in seen}) > 1
    )


def _name(delegate: str | None) -> str | None:
    return Path(delegate).name if delegate else None
