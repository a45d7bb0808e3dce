"""How an inspection is shown: a summary and tables for people, one JSON object for machines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ...edge.console import print_json, print_table, printable
from ...edge.tflite.graph import Tensor
from .inspection import Inspection, inspect
from .operators import InspectedOperator
from .record import to_record
from .summary import describe_quantization, headline, summary

# What people are shown of a file that holds more than they would read; --json has everything.
_NAME_WIDTH = 32
_CELL_WIDTH = 48
_LINE_WIDTH = 500
_MAX_ROWS = 1000


def run_inspection(path: Path, as_json: bool) -> None:
    """Print what is inside a .tflite, for people or, with `as_json`, as one JSON object (see to_record).

    Raises ModelFileError when it cannot be read, and click's Exit with status 1, after printing, when it
    contradicts itself.
    """
    found = inspect(path)
    if as_json:
        print_json(to_record(found))
    else:
        _print(found)
    if found.problems:
        raise click.exceptions.Exit(1)


def _print(found: Inspection) -> None:
    click.echo(_one_line(f"{found.path}: {headline(found)}", _LINE_WIDTH))
    for problem in found.problems:
        click.echo(_one_line(f"  PROBLEM     {problem}", _LINE_WIDTH))
    for name, text in summary(found):
        click.echo(_one_line(f"  {name:<11} {text}", _LINE_WIDTH))
    _print_kinds(found)
    _print_operators(found)


def _print_kinds(found: Inspection) -> None:
    kinds = [
        (
            item.name,
            str(item.version),
            str(item.count),
            f"{item.weight_bytes:,}",
            f"{item.weight_share:.1%}",
            _millions(item.macs),
            "?" if item.xnnpack is None else f"{item.xnnpack} of {item.count}",
        )
        for item in found.operations
    ]
    columns = (
        "operation",
        "version",
        "count",
        "weights\n(bytes)",
        "share",
        "million\nMACs",
        "XNNPACK\ntakes",
    )
    _print_rows("Operations", columns, kinds)
    stored = [(item.dtype, str(item.tensors), f"{item.bytes:,}") for item in found.stored]
    _print_rows("Constants in the file", ("type", "tensors", "bytes"), stored)


def _print_operators(found: Inspection) -> None:
    several = len(found.graph.subgraphs) > 1
    columns = ("#", "operation", "output", "shape", "type", "weights", "million\nMACs", "XNNPACK")
    rows = [_operator_row(item, several) for item in found.operators[: _MAX_ROWS + 1]]
    _print_rows("Operators", columns, rows)


def _print_rows(title: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    shown = [tuple(_one_line(cell, _CELL_WIDTH) for cell in row) for row in rows[:_MAX_ROWS]]
    print_table(title, columns, shown)
    if len(rows) > _MAX_ROWS:
        click.echo(f"Only the first {_MAX_ROWS:,} are shown; --json has all.\n")


def _operator_row(item: InspectedOperator, several: bool) -> tuple[str, ...]:
    operator, output = item.operator, item.output
    return (
        f"{operator.subgraph}:{operator.index}" if several else str(operator.index),
        operator.name,
        _shortened(output.name) if output else "none",
        "x".join(map(str, output.shape)) if output else "",
        _type(output) if output else "",
        _type(item.weights) if item.weights else "",
        _millions(item.macs),
        {True: "yes", False: "no", None: "?"}[item.xnnpack],
    )


def _type(tensor: Tensor) -> str:
    return (
        f"{tensor.dtype} {describe_quantization(tensor.quantization)}"
        if tensor.quantization
        else tensor.dtype
    )


def _millions(macs: int | None) -> str:
    if macs is None:
        return "?"
    return f"{macs / 1e6:,.3f}" if macs else ""


def _shortened(name: str) -> str:
    """Return the end of a long name, where converters put what tells layers apart."""
    return name if len(name) <= _NAME_WIDTH else f"...{name[3 - _NAME_WIDTH :]}"


def _one_line(text: str, width: int) -> str:
    """Return the beginning of a text that a file may have made of anything, safe for a terminal."""
    text = text if len(text) <= width else f"{text[: width - 3]}..."
    return printable(text).replace("\n", "\\x0a")
