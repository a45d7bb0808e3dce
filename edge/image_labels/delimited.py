"""Tables with a delimiter: CSV, TSV, and lines of a file's name and its class."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ..dataset_layout import subset_of
from ..errors import DatasetError
from ..picture_kinds import SUFFIXES
from .columns import Columns, Record, is_header
from .rows import Finds, LabelTable, read_records

_DELIMITERS = ",;\t|"
_FIRST = re.compile(r"sep=(.)\s*", re.IGNORECASE)  # Excel's own first line.


def read_delimited(path: Path, text: str, given: Columns, finds: Finds) -> LabelTable:
    """Return the rows of a table; raises DatasetError for a text that is none, or has no clear columns."""
    lines = _read(path, text)
    if not lines:
        raise DatasetError(f"{path} is empty: it must name pictures and their classes")
    first = lines[0][1]
    while first and not first[-1]:
        first.pop()
    if len(first) < 2:
        raise DatasetError(
            f"{path} has one column only, and needs two: the pictures and their classes, with , ; or a tab "
            "between them"
        )
    headless = not is_header(first, given) and any(_names_picture(cell, finds) for cell in first)
    names = [str(number) for number in range(1, len(first) + 1)] if headless else _told_apart(first)
    records = [_record(path, line, cells, names) for line, cells in (lines if headless else lines[1:])]
    if not records:
        raise DatasetError(f"{path} has a header, and no entries below it")
    if headless and given == Columns():
        given = _without_header(path, [list(record.values.values()) for record in records], finds)
    return read_records(path, names, records, given, finds)


def _read(path: Path, text: str) -> list[tuple[int, list[str]]]:
    """Return the cells of each row that is not empty, with the number of its last line."""
    begin = text.split("\n", 1)[0]
    skipped = 0
    if named := _FIRST.fullmatch(begin):
        text, skipped, delimiter = text.partition("\n")[2], 1, named[1]
    else:
        delimiter = max(_DELIMITERS, key=begin.count)
        if not begin.count(delimiter) and path.suffix.lower() not in (".csv", ".tsv"):
            delimiter = " "
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        return [
            (reader.line_num + skipped, [cell.strip() for cell in row])
            for row in reader
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise DatasetError(f"{path} cannot be read as a table ({error})") from None


def _record(path: Path, line: int, cells: Sequence[str], names: Sequence[str]) -> Record:
    if len(cells) < len(names) or any(cells[len(names) :]):
        raise DatasetError(
            f"{path}: line {line} has {len(cells)} of {len(names)} columns. A delimiter in a text needs "
            '"quotes" around it'
        )
    return Record(f"line {line}", dict(zip(names, cells, strict=False)))


def _told_apart(header: Sequence[str]) -> list[str]:
    return [
        name if header.index(name) == place else f"{name} (column {place + 1})"
        for place, name in enumerate(header)
    ]


def _names_picture(cell: str, finds: Finds) -> bool:
    return PurePosixPath(cell).suffix.lower() in SUFFIXES or bool(cell and finds(cell))


def _without_header(path: Path, rows: Sequence[Sequence[str]], finds: Finds) -> Columns:
    """Return the columns of a table without a header: a picture, a class, and perhaps a subset.

    Raises DatasetError for a table of more columns.
    """
    first = rows[0]
    numbers = range(len(first))
    pictures = [number for number in numbers if _names_picture(first[number], finds)]
    splits = [number for number in numbers if all(subset_of(row[number]) for row in rows)]
    rest = [number for number in numbers if number not in (*pictures, *splits)]
    if len(pictures) != 1 or len(rest) != 1 or len(splits) > 1:
        raise DatasetError(
            f"{path} has no header: its first line is {', '.join(first)[:200]}. Say which columns name the "
            "picture and the class by their numbers, as --label-columns image=1,label=2"
        )
    return Columns(str(pictures[0] + 1), str(rest[0] + 1), str(splits[0] + 1) if splits else None)
