"""Which results belong together: those of one machine, and those of one subject in two sets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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


Key = tuple[str | None, str, str | None, int, str, str | None]


@dataclass(frozen=True)
class Side:
    """One set of results by subject, each subject's oldest first; `superseded` are left out for newer ones.

    `failures` are those after which their subject was not measured.
    """

    subjects: dict[Key, tuple[Result, ...]]
    failures: tuple[Failure, ...]
    superseded: tuple[Result, ...]


def sides(before: Sequence[Result | Failure], after: Sequence[Result | Failure]) -> tuple[Side, Side]:
    """Sort both sets by device, file name without folders, variant, threads, runtime's name and delegate.

    Several results of a subject count together, as more processes of one, when they are of the same bytes,
    runtime's version, machine and yardstick as the last of them: so files of several runs may be joined.
    Names that stand for different models in one set are told apart by their folders.
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
    """Return the package's name of "ai-edge-litert 2.1.0"."""
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
