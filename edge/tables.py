"""Tables for people, no wider than the terminal: one rule says what happens where they do not fit.

What no terminal shows, a pipe or a file, gets all columns, as wide as they are. On a terminal, a table that
does not fit loses the columns of the highest rank, and a line below it names them; a table that is wanted
whole goes on below itself instead, with the names of the rows again. Where neither helps, and on a terminal
of less than 60 columns, each row becomes a block of lines. No cell of a table is cut or wrapped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .console import folded, terminal_width
from .printable import one_line

DETAILS = "--details"
_GAP = "  "
_NARROW = 60  # Columns of a terminal, below which what does not fit is stacked.
_ENDLESS = 1_000_000


@dataclass(frozen=True)
class TableColumn:
    """A column; the first of a table names the rows.

    `title` may have several lines. A narrow terminal leaves out the highest `rank` first, of equal ones the
    last column, and never one of rank 0. Words stand at the left, figures at the right.
    """

    title: str
    rank: int = 0
    words: bool = False

    @property
    def name(self) -> str:
        """The title in one line."""
        return one_line(self.title.replace("\n", " "))


@dataclass(frozen=True)
class TableLayout:
    """The places of the columns in each part of a table, the parts one below the other.

    Without parts, each row is a block of lines. `left_out` are the places of the columns that are missing.
    """

    parts: tuple[tuple[int, ...], ...]
    left_out: tuple[int, ...] = ()


def print_table(
    title: str,
    columns: Sequence[str | TableColumn],
    rows: Sequence[Sequence[str]],
    *,
    whole: bool = True,
) -> None:
    """Print a table and an empty line to stdout, by the rule above.

    A column that is given as its title has rank 0, and holds words where it is the first. A table that is not
    wanted `whole` is that of a command with the option --details, which prints the whole one.
    """
    from rich.console import Console
    from rich.text import Text

    if sys.stdout is None:  # The shell has closed it.
        return
    made = [
        TableColumn(column, words=not place) if isinstance(column, str) else column
        for place, column in enumerate(columns)
    ]
    cells = [[one_line(cell) for cell in row] for row in rows]
    width = terminal_width()
    layout = lay_out(made, cells, width, whole)
    console = Console(width=width or _ENDLESS)
    rule = "─" if console.encoding.startswith("utf") else "-"
    lines = [(line, "italic") for line in folded(title, width)]
    for part in layout.parts:
        lines += [
            ("", ""),
            *_table_lines([made[i] for i in part], [[row[i] for i in part] for row in cells], rule),
        ]
    if not layout.parts:
        lines.append(("", ""))
        lines += [(line, style) for row in cells for line, style in _block(made, row, width)]
    if layout.left_out:
        names = ", ".join(made[place].name for place in layout.left_out)
        said = f"Left out, since the terminal is too narrow: {names}. {DETAILS} shows all."
        lines += [(line, "dim") for line in folded(said, width)]
    for text, style in (*lines, ("", "")):
        console.print(Text(text, style), soft_wrap=True)


def known_columns(
    columns: Sequence[TableColumn], rows: Sequence[Sequence[str]]
) -> tuple[list[TableColumn], list[list[str]]]:
    """Return the columns that are more than dashes, and their cells."""
    known = [place for place in range(len(columns)) if any(row[place] != "-" for row in rows)]
    return [columns[place] for place in known], [[row[place] for place in known] for row in rows]


def lay_out(
    columns: Sequence[TableColumn], rows: Sequence[Sequence[str]], width: int | None, whole: bool
) -> TableLayout:
    """Choose how a table is shown on a terminal of `width` columns; None: there is no terminal."""
    places = range(len(columns))
    widths = _widths(columns, rows)

    def fits(shown: Sequence[int]) -> bool:
        taken = sum(widths[place] for place in shown) + len(_GAP) * (len(shown) - 1)
        return width is None or taken <= width

    if fits(places):
        return TableLayout((tuple(places),))
    if width is not None and width < _NARROW:
        return TableLayout(())
    if whole:
        return TableLayout(_continued(len(columns), fits))
    shown = list(places)
    for place in sorted(places[1:], key=lambda place: (-columns[place].rank, -place)):
        if fits(shown) or not columns[place].rank:
            break
        shown.remove(place)
    missing = tuple(place for place in places if place not in shown)
    return TableLayout((tuple(shown),), missing) if fits(shown) else TableLayout(())


def _continued(columns: int, fits: Callable[[Sequence[int]], bool]) -> tuple[tuple[int, ...], ...]:
    """Return parts that each begin with the first column; none where a column beside it is too wide."""
    parts: list[tuple[int, ...]] = []
    for place in range(1, columns):
        if parts and fits((*parts[-1], place)):
            parts[-1] = (*parts[-1], place)
        elif fits((0, place)):
            parts.append((0, place))
        else:
            return ()
    return tuple(parts)


def _widths(columns: Sequence[TableColumn], rows: Sequence[Sequence[str]]) -> list[int]:
    from rich.cells import cell_len

    cells = [[*column.title.split("\n"), *(row[i] for row in rows)] for i, column in enumerate(columns)]
    return [max(map(cell_len, texts)) for texts in cells]


def _table_lines(
    columns: Sequence[TableColumn], rows: Sequence[Sequence[str]], rule: str
) -> Iterator[tuple[str, str]]:
    """Yield the lines of a table with their styles; titles stand at the bottom of the head."""
    widths = _widths(columns, rows)
    titles = [column.title.split("\n") for column in columns]
    height = max(map(len, titles))
    for line in range(height):
        cells = [["", *title][max(0, line - height + len(title) + 1)] for title in titles]
        yield _line(columns, [one_line(cell) for cell in cells], widths), "bold"
    yield rule * (sum(widths) + len(_GAP) * (len(widths) - 1)), ""
    for row in rows:
        yield _line(columns, row, widths), ""


def _line(columns: Sequence[TableColumn], cells: Sequence[str], widths: Sequence[int]) -> str:
    from rich.cells import cell_len

    padded = []
    for column, cell, width in zip(columns, cells, widths, strict=True):
        blanks = " " * (width - cell_len(cell))
        padded.append(cell + blanks if column.words else blanks + cell)
    return _GAP.join(padded).rstrip()


def _block(
    columns: Sequence[TableColumn], row: Sequence[str], width: int | None
) -> Iterator[tuple[str, str]]:
    """Yield the lines of a row, its name first."""
    for line in folded(row[0], width):
        yield line, "bold"
    for column, cell in zip(columns[1:], row[1:], strict=True):
        if cell:
            for line in folded(f"{column.name}: {cell}", width, _GAP, _GAP * 2):
                yield line, ""
