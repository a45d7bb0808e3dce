"""Tables of one row a result; columns that nothing is known for are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .devices import Device, Row

Better = Literal["low", "high"]


@dataclass(frozen=True)
class Cell:
    """What stands in a cell: text, a second line in small print, and what it is sorted by."""

    text: str
    small: str = ""
    value: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Column:
    """A column: its title, its cell for a row (None: not known), and which values are the better ones."""

    title: str
    cell: Callable[[Row], Cell | None]
    better: Better | None = None


@dataclass(frozen=True)
class Table:
    """Titles, and for each row its cells, the first of which names it."""

    titles: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def words(self) -> tuple[bool, ...]:
        """Of each column whether it holds words, not figures."""
        return tuple(all(cell.value is None for cell in column) for column in zip(*self.rows, strict=True))


def make_table(
    devices: Sequence[Device], columns: Sequence[Column], kept: Callable[[Row], bool] = lambda row: True
) -> Table | None:
    """Return the rows that are `kept`, machine by machine; None where there is none.

    The best values of a machine are marked in columns that know which are.
    """
    heads: list[tuple[Cell, ...]] = []
    lines: list[list[Cell | None]] = []
    for device in devices:
        rows = [row for row in device.rows if kept(row)]
        heads += [(Cell(row.name), Cell(device.name))[: 1 + (len(devices) > 1)] for row in rows]
        by_column = [_with_best([column.cell(row) for row in rows], column.better) for column in columns]
        lines += [list(cells) for cells in zip(*by_column, strict=True)]
    known = [number for number in range(len(columns)) if any(line[number] for line in lines)]
    if not known:
        return None
    titles = ("Model", "Device")[: len(heads[0])] + tuple(columns[number].title for number in known)
    filled = (
        head + tuple(line[n] or Cell("-") for n in known) for head, line in zip(heads, lines, strict=True)
    )
    return Table(titles, tuple(filled))


def _with_best(cells: Sequence[Cell | None], better: Better | None) -> list[Cell | None]:
    """Return a machine's cells of a column with the best ones marked, where not all are alike."""
    values = {cell.value for cell in cells if cell is not None and cell.value is not None}
    if better is None or len(values) < 2:
        return list(cells)
    best = min(values) if better == "low" else max(values)
    return [replace(cell, best=cell.value == best) if cell else None for cell in cells]
