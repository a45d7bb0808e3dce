"""The tables and sentences of where the time goes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from ...edge.console import print_sentence
from ...edge.tables import TableColumn, print_table
from ..results.result import Operations, OperatorTime

_SLOWEST = 12
_FIGURES = (
    TableColumn("ms"), TableColumn("share"), TableColumn("million\nMACs", 1), TableColumn("GMAC/s", 2),
)  # fmt: skip
_RUN_BY = TableColumn("run by", words=True)
_BY_KIND = (TableColumn("operation", words=True), TableColumn("number"), _RUN_BY, *_FIGURES)
_BY_OPERATOR = (
    TableColumn("operator", words=True), TableColumn("output", 3, words=True), _RUN_BY, *_FIGURES,
)  # fmt: skip


def print_operations(operations: Operations, name: str, details: bool = False) -> None:
    """Print the sums by kind, the slowest operators, and the possible gain, to stdout."""
    rows = list(_rows_by_kind(operations.operators))
    print_sentence("")
    print_table(f"{name}: where the time goes", _BY_KIND, rows, whole=details)
    slowest = sorted((o for o in operations.operators if o.ms), key=lambda o: -(o.ms or 0))[:_SLOWEST]
    if slowest:
        rows = [_row(o.name if o.index is None else f"{o.index} {o.name}", o.output, [o]) for o in slowest]
        print_table("The slowest of them", _BY_OPERATOR, rows, whole=details)
    for sentence in describe(operations):
        print_sentence(sentence)


def describe(operations: Operations) -> Iterator[str]:
    """Yield sentences: the source of the times, the operators outside XNNPACK, and the possible gain."""
    timed = any(operation.ms is not None for operation in operations.operators)
    yield f"Measured by {operations.profiler}." if timed else f"No times: {operations.profiler}."
    if operations.outside:
        kinds = ", ".join(dict.fromkeys(operations.outside))
        share = sum(o.share or 0.0 for o in operations.operators if o.by == "the runtime")
        took = f", {share:.0%} of the time" if timed else ""
        yield f"Outside XNNPACK and delegates: {len(operations.outside)} operators ({kinds}){took}."
    elif operations.outside is None:
        yield "Which operators XNNPACK takes is unknown."
    if operations.uncounted:
        yield f"MACs are unknown for: {', '.join(operations.uncounted)}."
    rate, best, whole = operations.gmacs_per_s, operations.best_gmacs_per_s, operations.of_best
    if rate and best and whole and operations.macs:
        yield (
            f"{operations.macs / 1e6:.0f} million MACs at {rate:.1f} GMAC/s: {whole:.0%} of the {best:.1f} "
            f"that plain convolutions reach here ({operations.best_shape}): at that rate, an inference would "
            f"take {operations.macs / best / 1e6:.2f} ms."
        )
    elif operations.best_shape and best is None and operations.macs:
        yield f"{operations.best_shape}."


def _rows_by_kind(operators: Sequence[OperatorTime]) -> Iterator[tuple[str, ...]]:
    groups: dict[tuple[str, str | None], list[OperatorTime]] = {}
    for operator in operators:
        groups.setdefault((operator.name, operator.by), []).append(operator)
    for (name, _), group in sorted(groups.items(), key=lambda item: -_sum(o.ms for o in item[1])):
        yield _row(name, str(len(group)), group)


def _row(first: str, second: str, group: Sequence[OperatorTime]) -> tuple[str, ...]:
    timed = [operation for operation in group if operation.ms is not None]
    ms, macs = _sum(o.ms for o in timed), _sum(o.macs for o in group)
    return (
        first,
        second,
        group[0].by or "unknown",
        f"{ms:.3f}" if timed else "-",
        f"{_sum(o.share for o in timed):.1%}" if timed else "-",
        f"{macs / 1e6:.1f}" if macs else "-",
        f"{macs / ms / 1e6:.1f}" if macs and ms else "-",
    )


def _sum(values: Iterable[float | None]) -> float:
    return math.fsum(value for value in values if value is not None)
