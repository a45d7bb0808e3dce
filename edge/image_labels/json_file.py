"""JSON that names the classes of pictures: maps, lists of objects, JSON lines, COCO, Label Studio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import DatasetError
from ..json_files import JsonError, NotJsonError, parse_json
from .coco import is_coco, read_coco
from .columns import Columns, Record, is_header
from .label_studio import is_label_studio, read_label_studio
from .rows import Finds, LabelTable, read_records

_MOST_VALUES = 50_000_000  # COCO's own annotations of 2017 have 20 million, most of them outlines.
_FORMS = (
    'a list of objects as {"image": "1.jpg", "label": "cat"}, one such object a line, a map as '
    '{"1.jpg": "cat"}, COCO, or an export of Label Studio'
)


def read_json(path: Path, text: str, given: Columns, finds: Finds) -> LabelTable:
    """Return the rows of a file; raises DatasetError for JSON of another form, or text that is none."""
    value = _load(path, text)
    if is_coco(value):
        return read_coco(path, value)
    if is_label_studio(value):
        return read_label_studio(path, value, given)
    if isinstance(value, dict):
        return _of_map(path, value, given, finds)
    return _of_list(path, value, given, finds)


def _load(path: Path, text: str) -> Any:
    try:
        return _parse(path, text)
    except NotJsonError as error:
        lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
        if len(lines) < 2 or not lines[0][1].rstrip().endswith("}"):
            raise DatasetError(f"{path} cannot be read as JSON ({error})") from None
    except JsonError as error:
        raise DatasetError(f"{path} cannot be read as a table of classes: {error}") from None
    return [_line(path, number, line) for number, line in lines]


def _parse(path: Path, text: str) -> Any:
    return parse_json(
        text,
        finite=False,  # Scores of other programs.
        any_text=True,
        most_values=_MOST_VALUES,
        make_object=lambda pairs: _without_doubles(path, pairs),
    )


def _line(path: Path, number: int, line: str) -> Any:
    try:
        return _parse(path, line)
    except JsonError as error:
        raise DatasetError(f"{path}: line {number} cannot be read as JSON ({error})") from None


def _without_doubles(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if values.setdefault(key, value) != value:
            raise DatasetError(f"{path} has the key {key!r} twice, with different values. Keep one of them")
    return values


def _of_map(path: Path, value: Mapping[str, Any], given: Columns, finds: Finds) -> LabelTable:
    """Return the rows of {picture: label}, of {label: [pictures]}, or of an object that holds one list."""
    if isinstance(value.get("classes"), list) and isinstance(value.get("labels"), dict):
        value = _with_names(value["labels"], value["classes"])
    lists = [entry for entry in value.values() if _is_list_of(entry, dict)]
    if len(lists) == 1 and not any(map(finds, value)):
        return _of_list(path, lists[0], given, finds)
    if is_header(list(value), given) and not any(map(finds, value)):  # JSON lines, of which there is one.
        return _of_list(path, [value], given, finds)
    if value and all(_is_list_of(entry, str) for entry in value.values()):
        by_class = [(name, label) for label, names in value.items() for name in names]
        if not any(map(finds, value)) and any(finds(name) for name, _ in by_class):
            records = [Record(f"entry {name!r}", {"image": name, "label": label}) for name, label in by_class]
            return read_records(path, ["image", "label"], records, Columns(), finds)
    if not value:
        raise DatasetError(f"{path} is empty: it must name pictures and their classes")
    if all(isinstance(entry, dict) for entry in value.values()):
        records = [Record(f"entry {key!r}", {**entry, "key": key}) for key, entry in value.items()]
        return read_records(path, _keys(records), records, given, finds)
    records = [Record(f"entry {key!r}", {"image": key, "label": label}) for key, label in value.items()]
    return read_records(path, ["image", "label"], records, Columns(), finds)


def _with_names(labels: Mapping[str, Any], classes: Sequence[Any]) -> dict[str, Any]:
    """Return FiftyOne's map of pictures to classes with the names of classes that it numbers."""
    numbered = [isinstance(label, int) and 0 <= label < len(classes) for label in labels.values()]
    return {
        name: classes[label] if is_number else label
        for (name, label), is_number in zip(labels.items(), numbered, strict=True)
    }


def _of_list(path: Path, value: Any, given: Columns, finds: Finds) -> LabelTable:
    if _is_list_of(value, list) and all(len(entry) == 2 for entry in value):
        value = [{"image": name, "label": label} for name, label in value]
    if not _is_list_of(value, dict):
        raise DatasetError(f"{path} is JSON of a form that is not known. Known are {_FORMS}")
    records = [Record(f"entry {number}", entry) for number, entry in enumerate(value, 1)]
    return read_records(path, _keys(records), records, given, finds)


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, kind) for entry in value)


def _keys(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(key for record in records for key in record.values))
