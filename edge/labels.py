"""Labels: from label files, told apart, and compared with the number of a model's outputs."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

from .errors import LabelError

MAX_BYTES = 4 * 1024 * 1024


def parse_labels(raw: bytes, origin: str) -> tuple[str, ...]:
    """Return the labels in a file's bytes: the line's number, from 0, is the class.

    Numbers in the text don't count: "101 dalmatians" on the first line is class 0. Blank lines at the end are
    dropped. Raises LabelError, with the file's name `origin`, when the text is not UTF-8 or a line is blank.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelError(f"{origin} is not UTF-8 text ({error.reason} at byte {error.start})") from None
    lines = [line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, 1):
        if not line:
            raise LabelError(
                f"{origin} has a blank line, number {number}. Each line names the class of that number; "
                "remove the line, or name the class"
            )
    if not lines:
        raise LabelError(f"{origin} is empty: it must name one class per line")
    return tuple(lines)


def read_label_file(path: Path) -> tuple[str, ...]:
    """Read a label file: one class a line, or another form that is told by its content.

    Numbers that count the lines are dropped, as in "0 tench" and "1 goldfish". Names that occur twice are
    told apart (`tell_apart`). Remarks on both are printed once. Raises LabelError when the
    file cannot be read, is no label file, or numbers its lines in another order.
    """
    from .label_formats import FoundLabels, decode_text, parse_structured, without_numbers
    from .placeholders import PLACEHOLDER_BYTES, placeholder
    from .small_files import read_small

    text = decode_text(read_small(path, MAX_BYTES, "a label file", LabelError), str(path))
    if other := placeholder(text[:PLACEHOLDER_BYTES].encode()):
        raise LabelError(f"{path} {other}")
    found: FoundLabels | None = parse_structured(text, str(path))
    if found is None:
        found = without_numbers(parse_labels(text.encode(), str(path)), str(path))
    for remark in found.remarks:
        _say_once(remark)
    names = composed(found.labels)
    labels = tell_apart(names)
    if labels != names:
        twice = sorted({old for old, new in zip(names, labels, strict=True) if old != new})
        _say_once(
            f"{path} has names that occur more than once ({', '.join(twice[:5])}"
            f"{', ...' if len(twice) > 5 else ''}): the number of the class is added to them, as in "
            f"{next(new for old, new in zip(names, labels, strict=True) if old != new)!r}"
        )
    return labels


def composed(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return labels in Unicode's composed form (NFC), as the names of class folders are read."""
    if all(label.isascii() for label in labels):
        return labels
    import unicodedata

    return tuple(unicodedata.normalize("NFC", label) for label in labels)


def tell_apart(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return labels that differ from each other: the class's number is added to those that occur twice.

    Example:
        >>> tell_apart(("crane", "heron", "crane"))
        ('crane (class 0)', 'heron', 'crane (class 2)')
    """
    counts = Counter(labels)
    if len(counts) == len(labels):
        return labels
    told = tuple(f"{name} (class {i})" if counts[name] > 1 else name for i, name in enumerate(labels))
    return tell_apart(told)


@cache
def _say_once(remark: str) -> None:
    from .console import say

    say(remark)


def check_label_count(labels: tuple[str, ...], outputs: int, origin: str) -> None:
    """Raise LabelError unless there are exactly as many `labels` as `outputs`."""
    if len(labels) == outputs:
        return
    hint = ""
    near_imagenet = outputs in range(999, 1003)
    if len(labels) == outputs - 1 and near_imagenet:
        hint = (
            " (a difference of one: ImageNet models with 1,001 outputs have a background class first; if "
            "this is such a model, add a first line: background)"
        )
    elif len(labels) == outputs + 1 and near_imagenet:
        hint = (
            " (a difference of one: only ImageNet models with 1,001 outputs have a background class first; "
            "if the first line is background, remove it)"
        )
    elif comment := next((label for label in labels if label.startswith(("# ", "//"))), None):
        hint = f" (each line counts, also {comment[:60]!r}: remove comments)"
    raise LabelError(f"{origin} names {len(labels)} classes, and the model has {outputs} outputs{hint}")
