"""What changed between two sets of results: the records, and the table and sentences for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ...edge.console import print_sentence
from ...edge.printable import one_line
from ...edge.tables import TableColumn, known_columns, print_table
from .names import failure_name, result_names
from .noise import LatencyChange
from .numbers import number
from .result import Caveat, Failure, Result


@dataclass(frozen=True)
class Worsening:
    """A change for the worse beyond the limit; `text` is a sentence."""

    kind: Literal["slower", "tail", "larger", "memory", "less accurate"]
    text: str


@dataclass(frozen=True)
class Pair:
    """One subject in both sets, with the last result of each side where there are several.

    `new_warnings` are of kinds that were not there before, `gone_warnings` of kinds that are not there now.
    `remarks` say what weakens the comparison.
    """

    before: Result
    after: Result
    latency: LatencyChange
    findings: tuple[Worsening, ...] = ()
    new_warnings: tuple[Caveat, ...] = ()
    gone_warnings: tuple[Caveat, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Two sets of results.

    `limit` is the largest change for the worse that is allowed, a fraction; None: changes are reported, and
    none is judged a regression. `only_before` and `only_after` are results whose subject is not in the other
    set. `broken` could be measured before and fail now; `failing` fail now, and were not in the other set.
    """

    pairs: tuple[Pair, ...]
    limit: float | None
    only_before: tuple[Result, ...] = ()
    only_after: tuple[Result, ...] = ()
    broken: tuple[Failure, ...] = ()
    failing: tuple[Failure, ...] = ()
    remarks: tuple[str, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """Return the object that --json prints: the changes of each subject, and what got worse."""
        pairs = [
            {
                "file": pair.after.subject.file,
                "threads": pair.after.subject.threads,
                "runtime": pair.after.subject.runtime,
                "delegate": pair.after.subject.delegate,
                "device": pair.after.subject.device,
                **asdict(pair.latency),
                "findings": [asdict(finding) for finding in pair.findings],
                "remarks": pair.remarks,
            }
            for pair in self.pairs
        ]
        return {
            "comparison": {
                "limit": self.limit,
                "pairs": pairs,
                "only_before": [result.subject.file for result in self.only_before],
                "only_after": [result.subject.file for result in self.only_after],
                "failures": [asdict(failure) for failure in (*self.broken, *self.failing)],
                "regressions": self.regressions,
                "remarks": self.remarks,
            }
        }

    @property
    def regressions(self) -> tuple[str, ...]:
        """A sentence for each change for the worse that is not allowed; none without a limit."""
        if self.limit is None:
            return ()
        found = [finding.text for pair in self.pairs for finding in pair.findings]
        return (
            *found,
            *(f"{f.file} could be measured before, and fails now: {f.error}" for f in self.broken),
        )


_COLUMNS = (
    TableColumn("file", words=True),
    TableColumn("before"),
    TableColumn("now"),
    TableColumn("change"),
    TableColumn("95 % interval", 1),
    TableColumn("verdict", words=True),
    TableColumn("p99", 2),
    TableColumn("peak\nmemory", 4),
    TableColumn("size", 5),
    TableColumn("top-1", 3),
)


def print_comparison(comparison: Comparison, details: bool = False) -> None:
    """Print the verdict, a table of the pairs and remarks to stdout."""
    verdict = list(_verdict(comparison))
    for sentence in verdict:
        print_sentence(sentence)
    if comparison.pairs:
        if verdict:
            print_sentence("")
        columns, rows = known_columns(_COLUMNS, _rows(comparison.pairs))
        print_table(_title(comparison), columns, rows, whole=details)
    for sentence in _remarks(comparison):
        print_sentence(sentence)


def _verdict(comparison: Comparison) -> Iterator[str]:
    """Yield what got worse, or, where a limit judges it, that nothing did."""
    if comparison.limit is None:
        found = [finding.text for pair in comparison.pairs for finding in pair.findings]
        yield from (f"Worse: {text}" for text in found)
        yield from (f"Fails now: {one_line(failure_name(f))}: {f.error}" for f in comparison.broken)
        return
    regressions = comparison.regressions
    yield from (f"Regression: {text}" for text in regressions)
    if not regressions:
        names = _names([pair.after for pair in comparison.pairs])
        pairs = zip(names, comparison.pairs, strict=True)
        unclear = [name for name, pair in pairs if pair.latency.verdict == "unclear"]
        but = f"; it is not clear for: {', '.join(unclear)}" if unclear else ""
        yield f"No regression of more than {comparison.limit * 100:g}% was found{but}."


def _remarks(comparison: Comparison) -> Iterator[str]:
    """Yield what weakens the comparison, and which results only one set has."""
    yield from (f"Note: {remark}" for remark in comparison.remarks)
    names = _names([pair.after for pair in comparison.pairs])
    for name, pair in zip(names, comparison.pairs, strict=True):
        yield from (f"Note: {name}: {remark}" for remark in pair.remarks)
        yield from (f"Note: {name}: new warning: {caveat.text}" for caveat in pair.new_warnings)
        yield from (f"Note: {name}: before only: {caveat.text}" for caveat in pair.gone_warnings)
    for results, where in ((comparison.only_before, "before"), (comparison.only_after, "now")):
        if results:
            yield f"Only {where}: {', '.join(_names(results))}"
    for failure in comparison.failing:
        yield f"Not measured: {one_line(failure_name(failure))}: {failure.error}"


def _rows(pairs: Sequence[Pair]) -> list[list[str]]:
    names = _names([pair.after for pair in pairs])
    return [_row(name, pair) for name, pair in zip(names, pairs, strict=True)]


def _names(results: Sequence[Result]) -> list[str]:
    """Return names as in the table of results, with the device where there is one."""
    return [
        one_line(f"{result.subject.device}: {name}" if result.subject.device else name)
        for name, result in zip(result_names(results), results, strict=True)
    ]


def _title(comparison: Comparison) -> str:
    bases = {pair.latency.basis for pair in comparison.pairs}
    how = {
        frozenset({"yardstick"}): "; changes are those of the multiple of the yardstick's time",
        frozenset({"medians"}): "; changes are those of the medians",
    }.get(frozenset(bases), "")
    return f"Before and now{how}"


def _row(name: str, pair: Pair) -> list[str]:
    old, new, latency = pair.before, pair.after, pair.latency
    memory = [result.memory.peak if result.memory else None for result in (old, new)]
    top1 = [result.accuracy.top1 * 100 if result.accuracy else None for result in (old, new)]
    return [
        name,
        f"{number(latency.before_ms)} ms",
        f"{number(latency.after_ms)} ms",
        f"{latency.change:+.1%}",
        f"{latency.ci95[0] * 100:+.1f} to {latency.ci95[1]:+.1%}",
        latency.verdict,
        _change(old.latency.p99_ms, new.latency.p99_ms, "{:.3g}", " ms"),
        _change(memory[0], memory[1], "{:.0f}", " MB"),
        _change(old.subject.size_bytes / 1e6, new.subject.size_bytes / 1e6, "{:.2f}", " MB"),
        _change(top1[0], top1[1], "{:.2f}", "%"),
    ]


def _change(old: float | None, new: float | None, form: str, unit: str) -> str:
    """Return "old to new", or one figure where it did not change."""
    was, now = ("-" if value is None else form.format(value) for value in (old, new))
    return f"{was} to {now}{unit}" if was != now else "-" if now == "-" else f"{now}{unit}"
