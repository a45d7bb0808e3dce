"""The one reader of JSON: of files and lines that somebody else, or nobody's hand, may have written.

    read_json(run, "split.json", most=64 * 2**20)   # Any, or FileNotFoundError, or JsonError
    parse_json(line)                                # the same for text or bytes
    structured(Split, value)                        # a dataclass, or JsonError that names the field

Python's `json` takes what cannot be used, and fails in ways that are easily forgotten: RecursionError for
nested lists, `NaN`, numbers of thousands of digits, keys that stand twice, halves of letters, UTF-16. All of
these are refused here, by one exception whose text is a sentence that follows the name of the file.
"""

from __future__ import annotations

import json
import reprlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from enum import EnumMeta as EnumType
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import dacite

from .inner_files import UnsafePathError, read_inner

MOST_BYTES = 64 * 2**20
# Python takes about 100 bytes for each value, also for two brackets: bytes of a file alone are no limit.
MOST_VALUES = 5_000_000
DEEPEST = 50  # Levels of lists and objects. No file of ours has more than ten.
_TOO_LARGE, _LONGEST_INT = 2**63, 20  # No count is as large; its digits with the sign.
_T = TypeVar("_T")

Pairs = list[tuple[str, Any]]


class JsonError(ValueError):
    """JSON that is not taken; the text is a sentence that follows the name of the file."""


class NotJsonError(JsonError):
    """A text that is no JSON at all."""


def read_json(root: Path, name: str, *, most: int = MOST_BYTES, **limits: Any) -> Any:
    """Return what the file `name` in the folder `root` holds; no link below `root` is followed.

    Raises FileNotFoundError where there is none, and JsonError, also for what cannot be read. `limits` are
    those of `parse_json`.
    """
    try:
        raw = read_inner(root, name, most)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise JsonError(f"it cannot be read ({error.strerror})") from None
    except UnsafePathError as error:
        raise JsonError(f"it {error}") from None
    return parse_json(raw, **limits)


def parse_json(
    text: str | bytes,
    *,
    finite: bool = True,
    any_text: bool = False,
    most_values: int = MOST_VALUES,
    deepest: int = DEEPEST,
    make_object: Callable[[Pairs], dict[str, Any]] | None = None,
) -> Any:
    """Return the value of a JSON text, of bounded size and depth; raises JsonError.

    Bytes are UTF-8, with or without a byte order mark. Without `finite`, NaN and infinite numbers are taken,
    as a training that diverges writes them; with `any_text` also strings that are no Unicode, as names of
    files may be. `make_object` turns the pairs of an object into a dict; the default refuses a key that
    stands twice.
    """
    if isinstance(text, bytes):
        text = _decode(text)
    text = text.removeprefix("\ufeff")
    if text.count(",") + text.count("[") + text.count("{") > most_values:
        raise JsonError(f"it holds more than {most_values:,} values")
    try:
        value = json.loads(
            text,
            object_pairs_hook=make_object or _unique,
            parse_int=_countable,
            parse_float=_finite if finite else float,
            parse_constant=_no_number if finite else float,
        )
    except RecursionError:
        raise JsonError(f"it is nested deeper than {deepest} levels") from None
    except json.JSONDecodeError as error:
        raise NotJsonError(f"it is not JSON ({error})") from None
    if text.count("[") + text.count("{") > deepest:
        _require_shallow(value, deepest)
    if not any_text and "\\u" in text:
        _require_unicode(value)
    return value


def structured(kind: type[_T], value: object, *, at: str = "", exact: bool = False) -> _T:
    """Return the dataclass `kind` with the values of a JSON object, and of the objects in it.

    Keys that it does not know are ignored, since a newer version may write more, but not where `exact`; those
    that have a default may lack. `at` is the name of the object in its file. Raises JsonError, which names
    the field and what arrived, and what the dataclass itself raises.
    """
    inside = f"{at}." if at else ""
    if not isinstance(value, dict):
        raise JsonError(f"{at or 'it'} must hold an object. Received: {reprlib.repr(value)}")
    try:
        return dacite.from_dict(kind, value, dacite.Config(type_hooks=_hooks(cast(Any, kind)), strict=exact))
    except dacite.WrongTypeError as error:
        raise JsonError(
            f"{inside}{error.field_path} has a value of the wrong type. Received: {reprlib.repr(error.value)}"
        ) from None
    except dacite.MissingValueError as error:
        raise JsonError(f"{inside}{error.field_path} is missing") from None
    except (dacite.DaciteError, TypeError, ValueError) as error:
        raise JsonError(f"it holds what is not expected ({error})") from None


def _decode(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise JsonError("it is UTF-16 text. Save it as UTF-8")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JsonError(f"it is not UTF-8 text ({error.reason} at byte {error.start})") from None


def _unique(pairs: Pairs) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise JsonError(f"it has the key {reprlib.repr(twice)} twice in one object")
    return found


def _countable(text: str) -> int:
    value = int(text) if len(text) <= _LONGEST_INT else _TOO_LARGE
    if abs(value) >= _TOO_LARGE:
        raise JsonError(f"the number {text[:20]} is too large")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if abs(value) == float("inf"):
        raise JsonError(f"{text[:20]} is not a number")
    return value


def _no_number(text: str) -> float:
    raise JsonError(f"{text} is not a number")


def _require_shallow(value: Any, deepest: int) -> None:
    level = [value]
    for _ in range(deepest):
        level = [inner for each in level for inner in _inside(each) if isinstance(inner, (dict, list))]
        if not level:
            return
    raise JsonError(f"it is nested deeper than {deepest} levels")


def _require_unicode(value: Any) -> None:
    """Raise JsonError for half a letter (a lone surrogate), which cannot be written nor printed."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str) and not _is_unicode(each):
            raise JsonError(f"it holds a text that is no Unicode: {each[:50]!a}")
        if isinstance(each, dict):
            waiting.extend(each)
        waiting.extend(_inside(each))


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _inside(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


@cache
def _hooks(kind: Any) -> dict[Any, Callable[[Any], object]]:
    """Return what makes or checks the values of fields: tuples, enumerations, lists and dictionaries."""
    return {
        each: each if isinstance(each, EnumType) else _MAKE[get_origin(each)] for each in _special_types(kind)
    }


def _to_tuple(value: object) -> tuple[object, ...]:
    if not isinstance(value, (list, tuple)):  # A text would become a tuple of its letters.
        raise dacite.WrongTypeError(field_type=tuple, value=value)
    return tuple(value)


def _to_list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise dacite.WrongTypeError(field_type=list, value=value)
    return value


def _to_dict(value: object) -> dict[object, object]:
    if not isinstance(value, dict):
        raise dacite.WrongTypeError(field_type=dict, value=value)
    return value


_MAKE: dict[Any, Callable[[object], object]] = {tuple: _to_tuple, list: _to_list, dict: _to_dict}


@cache
def _special_types(kind: Any) -> frozenset[Any]:
    """Return the types in the fields of a dataclass, and of those inside it, that `_hooks` is about."""
    if is_dataclass(kind) and isinstance(kind, type):
        return frozenset().union(*(_special_types(hint) for hint in get_type_hints(kind).values()))
    inner: frozenset[Any] = frozenset().union(*(_special_types(part) for part in get_args(kind)))
    return inner | {kind} if get_origin(kind) in _MAKE or isinstance(kind, EnumType) else inner
