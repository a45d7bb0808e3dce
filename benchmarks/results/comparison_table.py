"""What people see of a comparison: a table, what got worse, and what weakens it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from ...edge.console import one_line, print_table, printable
from .comparison import Comparison, Pair
from .names import failure_name, result_names
from .numbers import number
from .result import Result

_TITLES = ["file", "before", "now", "change", "95 %\ninterval", "", "p99", "peak\nmemory", "size", "top-1"]


def print_comparison(comparison: Comparison) -> None:
    """Print a table of what is in both sets, and sentences below it, to stdout."""
    if comparison.pairs:
        print_table(_title(comparison), _TITLES, comparison_rows(comparison.pairs))
    for sentence in comparison_remarks(comparison):
        click.echo(printable(sentence))


def comparison_rows(pairs: Sequence[Pair]) -> list[list[str]]:
    """Return a row for each pair, of the columns that `print_comparison` shows."""
    names = _names([pair.after for pair in pairs])
    return [_row(name, pair) for name, pair in zip(names, pairs, strict=True)]


def comparison_remarks(comparison: Comparison) -> Iterator[str]:
    """Yield sentences: remarks, warnings, what is only in one set, and the verdict at the end."""
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
    if comparison.limit is None:
        found = [finding.text for pair in comparison.pairs for finding in pair.findings]
        yield from (f"Worse: {text}" for text in found)
        yield from (f"Fails now: {one_line(failure_name(f))}: {f.error}" for f in comparison.broken)
        return
    regressions = comparison.regressions
    yield from (f"Regression: {text}" for text in regressions)
    if not regressions:
        unclear = [n for n, p in zip(names, comparison.pairs, strict=True) if p.latency.verdict == "unclear"]
        but = f"; of these it cannot be told: {', '.join(unclear)}" if unclear else ""
        yield f"No regression of more than {comparison.limit * 100:g}% was found{but}."


def _names(results: Sequence[Result]) -> list[str]:
    """Return names as in the table of results, with the device where there is one."""
    return [
        one_line(f"{result.subject.device}: {name}" if result.subject.device else name)
        for name, result in zip(result_names(results), results, strict=True)
    ]


def _title(comparison: Comparison) -> str:
    bases = {pair.latency.basis for pair in comparison.pairs}
    how = {
        frozenset({"yardstick"}): "; changes are of the multiple of this package's own model's time",
        frozenset({"medians"}): "; changes are of the medians",
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
