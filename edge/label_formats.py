"""What label files hold beside one class a line: JSON, tables, label maps, one-line lists, numbered lines."""

from __future__ import annotations

import csv
import io
import re
from ast import literal_eval
from collections import Counter
from functools import partial
from typing import Any, NamedTuple

from .errors import LabelError
from .json_files import JsonError, NotJsonError, parse_json

_NAME_KEYS = ("label", "name", "class_name", "classname", "label_name", "display_name", "class", "category")
_INDEX_KEYS = (
    "index",
    "id",
    "class_id",
    "classid",
    "label_id",
    "class_index",
    "idx",
    "number",
    "class",
    "label",
)
_LIST_KEYS = (
    "id2label",
    "labels",
    "names",
    "classes",
    "class_names",
    "categories",
    "class_indices",
    "label2id",
)
_NUMBER_FIRST = re.compile(r"(?P<number>\d{1,9})(?:\s*[:,;=]\s*|\s*[.)-]?\s+)(?P<name>\S.*)")
_NUMBER_LAST = re.compile(r"(?P<name>.*[^\s:,;=])(?:\s*[:,;=]\s*|\s+)(?P<number>\d{1,9})")
_ITEM = re.compile(r"""\bitem\s*:?\s*\{((?:#[^\n]*|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^{}"'#])*)\}""")
_FIELD = re.compile(r"""\b(\w+)\s*:\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|(-?\d+))""")


class FoundLabels(NamedTuple):
    """The labels of a file in the order of the outputs, and what a user should know of how it was read."""

    labels: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def decode_text(raw: bytes, origin: str) -> str:
    """Return text in UTF-8, or UTF-16 or UTF-32 with a byte order mark; raises LabelError for other bytes.

    UTF-16 without a mark is told by its zero bytes, where the letters are Latin.
    """
    encoding = "utf-8-sig"
    if raw.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        encoding = "utf-32"
    elif raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif len(raw) >= 4 and len(raw) % 2 == 0 and 0 in raw[:4]:
        encoding = "utf-16-le" if not any(raw[1:64:2]) else "utf-16-be" if not any(raw[0:64:2]) else encoding
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        kind = encoding.upper().removesuffix("-SIG")
        raise LabelError(
            f"{origin} is not {kind} text ({error.reason} at byte {error.start}). Save it as UTF-8 text"
        ) from None
    if "\0" in text:
        raise LabelError(f"{origin} is no text: it holds zero bytes. Give a text file")
    return text


def parse_structured(text: str, origin: str) -> FoundLabels | None:
    """Return the labels of JSON, a label map (pbtxt), a table with named columns, or a list on one line.

    None where the text is plain lines. Raises LabelError for such a file that names no classes, or not one
    for each number.
    """
    start, suffix = text.lstrip()[:1], origin.lower().rpartition(".")[2]
    if suffix in ("yaml", "yml"):
        raise LabelError(f"{origin} is YAML, which is not read. Write its names into a text file, one a line")
    if text.startswith("{\\rtf"):
        raise LabelError(f"{origin} is rich text (RTF). Save it as plain text, one class a line")
    if start in ("{", "[") or suffix == "json":
        return _of_value(_load(text, origin), origin)
    if items := _ITEM.findall(text):
        return _of_items(items, origin)
    lines = text.splitlines()
    filled = [line for line in lines if line.strip()]
    if table := _of_table(filled, origin, suffix):
        return table
    if len(filled) == 1 and (separator := next((c for c in ";,\t" if c in filled[0]), None)):
        if _NUMBER_FIRST.fullmatch(filled[0].strip()) and filled[0].count(separator) == 1:
            return None
        names = [
            cell.strip() for cell in next(csv.reader(filled, delimiter=separator, skipinitialspace=True))
        ]
        while names and not names[-1]:
            names.pop()
        remark = f"{origin} is one line: it was read as a list of {len(names)} classes"
        return FoundLabels(_checked(names, origin), (remark,))
    return None


def without_numbers(labels: tuple[str, ...], origin: str) -> FoundLabels:
    """Return the labels without the numbers that count the lines, from 0 or from 1, before or behind them.

    Numbers are names where they are all that tells most of the lines apart ("1 euro", "2 euro"). Raises
    LabelError where all numbers from 0 are there, in another order than the lines.
    """
    remarks: tuple[str, ...] = ()
    for pattern in (_NUMBER_FIRST, _NUMBER_LAST):
        matches = [match for label in labels if (match := pattern.fullmatch(label))]
        if len(labels) < 2 or len(matches) < len(labels):
            continue
        numbers, names = [int(match["number"]) for match in matches], [match["name"] for match in matches]
        if 2 * len(set(names)) <= len(names):
            continue
        first = min(numbers)
        if first > 1 or sorted(numbers) != list(range(first, first + len(numbers))):
            remarks = remarks or _uncounted(numbers, names, origin)
            continue
        for line, number in enumerate(numbers):
            if line + first != number:
                raise LabelError(
                    f"{origin} numbers its classes in another order than its lines: line {line + 1} is for "
                    f"class {line + first}, but has the number {number}. Sort the lines by number"
                )
        return FoundLabels(_bare(names), _from_one(origin) if first else ())
    return FoundLabels(_bare(list(labels)), remarks)


def _uncounted(numbers: list[int], names: list[str], origin: str) -> tuple[str, ...]:
    """Return a remark on numbers that may be meant to count, and leave some out."""
    if min(numbers) > 1 or numbers != sorted(set(numbers)) or len(set(names)) < len(names):
        return ()
    missing = next(n for n in range(min(numbers), numbers[-1]) if n not in numbers)
    return (
        f"{origin} has numbers that do not count its classes ({missing} is missing): they stay in the names",
    )


def _from_one(origin: str) -> tuple[str, ...]:
    return (f"{origin} numbers its classes from 1: number 1 was taken for the model's first output",)


def _bare(names: list[str]) -> tuple[str, ...]:
    """Return names without what all of them have, as in a program's list: dashes, commas, quotes."""
    given = tuple(names)
    if len(names) > 1 and all(name.endswith(",") for name in names[:-1]):
        names = [name.removesuffix(",").rstrip() for name in names]
    if all(name.startswith("- ") for name in names):
        names = [name[2:].lstrip() for name in names]
    if all(len(name) > 2 and name[0] == name[-1] and name[0] in "'\"" for name in names):
        names = [name[1:-1] for name in names]
    return tuple(name.strip() for name in names) if all(name.strip() for name in names) else given


def _load(text: str, origin: str) -> Any:
    try:
        return parse_json(text, make_object=partial(_without_doubles, origin))
    except NotJsonError as error:
        why = error
    except JsonError as error:
        raise LabelError(f"{origin} cannot be read as a list of labels: {error}") from None
    try:  # Python's own notation, {0: 'tench', 1: 'goldfish'}, is as common.
        return literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise LabelError(
            f"{origin} begins as JSON and cannot be read as such ({why}). Mend it, or give one class a line"
        ) from None


def _without_doubles(origin: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; raises LabelError for a name that it has twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise LabelError(f"{origin} has {twice!r} more than once in the same object. Keep one of them")
    return found


def _of_value(value: Any, origin: str) -> FoundLabels:
    """Return the labels of a list of names or objects, a map either way, or an object that holds one."""
    if isinstance(value, dict):
        for key in _LIST_KEYS:
            if isinstance(value.get(key), (dict, list)):
                return _of_value(value[key], origin)
        if (
            value
            and all(_whole(number) is not None for number in value.values())
            and not all(
                isinstance(number, str) and _whole(name) is not None for name, number in value.items()
            )
        ):
            return _by_number([(_whole(number), str(name)) for name, number in value.items()], origin)
        if value and all(_whole(number) is not None for number in value):
            return _by_number([(_whole(number), _name(entry)) for number, entry in value.items()], origin)
    if isinstance(value, list) and value:
        if all(isinstance(entry, dict) for entry in value):
            numbers = [_field(entry, _INDEX_KEYS, whole=True) for entry in value]
            if all(number is not None for number in numbers):
                pairs = [(_whole(number), _name(e)) for number, e in zip(numbers, value, strict=True)]
                return _by_number(pairs, origin)
        return FoundLabels(_checked([_name(entry) for entry in value], origin))
    raise LabelError(
        f"{origin} is JSON that names no classes. Give a list of names or an object that maps numbers to "
        'names or names to numbers, as {"cat": 0, "dog": 1}'
    )


def _name(entry: Any) -> str | None:
    """Return the name in a map's value: itself, a list's last (["n01440764", "tench"]), an object's name."""
    if isinstance(entry, dict):
        entry = _field(entry, _NAME_KEYS)
    elif isinstance(entry, (list, tuple)) and entry:
        entry = entry[-1]
    if isinstance(entry, (int, float)) and not isinstance(entry, bool):
        return str(entry)
    return entry.strip() if isinstance(entry, str) else None


def _field(entry: dict[Any, Any], keys: tuple[str, ...], whole: bool = False) -> Any:
    by_key = {str(key).lower(): value for key, value in entry.items()}
    return next(
        (by_key[k] for k in keys if k in by_key and (not whole or _whole(by_key[k]) is not None)), None
    )


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
        return int(value.strip())  # int() knows fewer kinds of space than \s and strip().
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _of_items(items: list[str], origin: str) -> FoundLabels:
    pairs = []
    for item in items:
        fields = {key: quoted or single or number for key, quoted, single, number in _FIELD.findall(item)}
        pairs.append((_whole(fields.get("id")), fields.get("display_name") or fields.get("name")))
    return _by_number(pairs, origin)


def _of_table(lines: list[str], origin: str, suffix: str) -> FoundLabels | None:
    """Return the labels of a table whose first line names its columns; None where the text is none.

    Raises LabelError for a .csv or .tsv of several columns whose names say nothing.
    """
    if not lines:
        return None
    separator = max(";,\t", key=lines[0].count)
    try:
        rows = [
            [cell.strip() for cell in row]
            for row in csv.reader(io.StringIO("\n".join(lines)), delimiter=separator)
        ]
    except csv.Error as error:
        raise LabelError(f"{origin} cannot be read as a table ({error})") from None
    header = [cell.lower().replace(" ", "_") for cell in rows[0]]
    named = next((header.index(key) for key in _NAME_KEYS if key in header), None)
    numbered = next(
        (header.index(key) for key in _INDEX_KEYS if key in header and header.index(key) != named), None
    )
    is_table = suffix in ("csv", "tsv")
    if named is None or (numbered is None and not is_table):
        if is_table and len(rows[0]) > 1 and not any(cell.isdecimal() for cell in rows[0]):
            raise LabelError(
                f"{origin} has the columns {', '.join(rows[0])[:200]}; none is called label or name. "
                "Name the column of the classes label, and that of their numbers index"
            )
        return None
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise LabelError(
                f"{origin}: line {number} has {len(row)} columns, and the first line {len(header)}"
            )
    if numbered is None:
        names = _checked([row[named] for row in rows[1:]], origin)
        if len(header) > 1 and len(set(names)) < len(names):
            raise LabelError(
                f"{origin} names {len(set(names))} classes in {len(names)} lines, as tables of pictures do "
                "(--image-labels). Give one line for each class"
            )
        return FoundLabels(names)
    return _by_number([(_whole(row[numbered]), row[named]) for row in rows[1:]], origin)


def _by_number(pairs: list[tuple[int | None, str | None]], origin: str) -> FoundLabels:
    """Return the names in the order of their numbers, which must be all from 0, or all from 1."""
    numbers = [number for number, _ in pairs if number is not None]
    if len(numbers) < len(pairs) or not numbers:
        raise LabelError(
            f"{origin} gives no whole number to some of {len(pairs)} classes. Number them from 0"
        )
    first = 1 if min(numbers) == 1 else 0
    wanted = range(first, first + len(numbers))
    if sorted(numbers) != list(wanted):
        wrong = next((n for n in wanted if numbers.count(n) != 1), max(numbers))
        found = f"{numbers.count(wrong)} have the number {wrong}"
        raise LabelError(
            f"{origin} must number its {len(numbers)} classes from {first} to {wanted[-1]}: {found}"
        )
    ordered = [name for _, name in sorted(pairs, key=lambda pair: pair[0] or 0)]
    return FoundLabels(_checked(ordered, origin), _from_one(origin) if first else ())


def _checked(names: list[Any], origin: str) -> tuple[str, ...]:
    if not names:
        raise LabelError(f"{origin} is empty: it must name the classes")
    for number, name in enumerate(names):
        if not isinstance(name, str) or not name.strip() or len(name.splitlines()) > 1:
            raise LabelError(f"{origin}: class {number} has no name that is a single line of text. Name it")
    return tuple(name.strip() for name in names)
