"""What a table says of pictures: a row for each, with the labels that stand in it."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..dataset_layout import subset_of
from ..errors import DatasetError
from ..json_files import JsonError, parse_json
from .columns import Chosen, Columns, Record, choose_columns, is_one, unused_split

ONE_CLASS = "one class is trained for each image"
# Columns that Label Studio writes: of one picture there may be rows of several people.
_OF_LABEL_STUDIO = ("annotation_id", "lead_time")
_OF_BOXES = ("xmin", "x_min", "bbox", "xmax")  # And these mark a place in it.
_LABEL_KEYS = ("choices", "label", "class", "name", "category", "value")
_SEPARATORS = "|,;"

Finds = Callable[[str], bool]
"""Whether a text names a picture that is there."""


class LabelRow(NamedTuple):
    """One entry of a table: the picture's name as it stands there, its labels, and where it stands."""

    name: str
    labels: tuple[str, ...]
    subset: str | None
    place: str


@dataclass(frozen=True)
class LabelTable:
    """The entries of a table in their order, and what a user should know of how it was read.

    `annotated` tables are those of tools in which people mark many things: pictures with several classes, or
    on which people differ, are to be left out. In others they are contradictions.
    """

    path: Path
    rows: tuple[LabelRow, ...]
    remarks: tuple[str, ...] = ()
    annotated: bool = False


def read_records(
    path: Path, names: Sequence[str], records: Sequence[Record], given: Columns, finds: Finds
) -> LabelTable:
    """Return the rows of a table with named columns, or of a list of JSON objects.

    Raises DatasetError where the columns are not clear, or a split is none.
    """
    chosen = choose_columns(str(path), names, records, given, finds)
    rows = [_row(record, chosen, str(path)) for record in records if _text(record.values.get(chosen.image))]
    if chosen.label is not None:
        rows = _split_joined(rows)
    column = f"column {chosen.label}" if chosen.label else f"{len(chosen.classes)} columns of 0 and 1"
    split = f", subsets from column {chosen.split}" if chosen.split else ""
    remarks = [f"{path}: pictures from column {chosen.image}, classes from {column}{split}"]
    if other := unused_split(names, chosen.split):
        remarks.append(f"{path}: column {other} holds none of train, validation and test, and is not used")
    if joined := _made_of_others(rows):
        remarks.append(f"{path}: {joined!r} is made of other classes, and is taken as a class of its own")
    if unnamed := len(records) - len(rows):
        remarks.append(f"{path}: entries that name no picture, left out: {unnamed:,}")
    boxes = any(name.strip().lower() in _OF_BOXES for name in names)
    if boxes:
        remarks.append(f"{path} marks places in pictures: the whole pictures are used")
    annotated = boxes or all(name in names for name in _OF_LABEL_STUDIO)
    return LabelTable(path, tuple(rows), tuple(remarks), annotated)


def label_texts(value: Any) -> tuple[str, ...]:
    """Return the labels in a cell or a JSON value: a text, a number, a list, or an object that holds one."""
    if value is None:
        return ()
    if isinstance(value, (list, tuple)):
        return tuple(dict.fromkeys(text for each in value for text in label_texts(each)))
    if isinstance(value, dict):
        return next((label_texts(value[key]) for key in _LABEL_KEYS if key in value), ())
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = unicodedata.normalize("NFC", _text(value))
    if text[:1] + text[-1:] in ("[]", "{}"):
        try:
            return label_texts(parse_json(text if '"' in text else text.replace("'", '"'), finite=False))
        except JsonError:
            return (text,)
    return (text,) if text else ()


def _row(record: Record, chosen: Chosen, origin: str) -> LabelRow:
    values = record.values
    if chosen.label is None:
        labels = tuple(name.strip() for name in chosen.classes if is_one(values.get(name)))
    else:
        labels = label_texts(values.get(chosen.label))
    subset = None
    if chosen.split is not None:
        text = _text(values.get(chosen.split))
        found = subset_of(text)
        if found is None:
            raise DatasetError(
                f"{origin}, {record.place}: column {chosen.split} holds {text!r}, which is none of train, "
                "validation and test. Write one of them there, or remove the entry"
            )
        subset = found[0]
    return LabelRow(_text(values[chosen.image]), labels, subset, record.place)


def _split_joined(rows: list[LabelRow]) -> list[LabelRow]:
    """Return the rows, in which "cat|dog" is two labels where cat and dog are labels of other rows."""
    known = Counter(row.labels[0] for row in rows if len(row.labels) == 1)
    result = []
    for row in rows:
        joined = row.labels[0] if len(row.labels) == 1 else ""
        splits = ([part.strip() for part in joined.split(separator)] for separator in _SEPARATORS)
        parts = next((s for s in splits if len(s) > 1 and all(part in known for part in s)), None)
        result.append(row._replace(labels=tuple(dict.fromkeys(parts))) if parts else row)
    return result


def _made_of_others(rows: Sequence[LabelRow]) -> str | None:
    """Return a label such as "scab rust" beside scab and rust: perhaps two labels with a space between."""
    known = {label for row in rows for label in row.labels}
    return next((label for label in sorted(known) if " " in label and known.issuperset(label.split())), None)


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
