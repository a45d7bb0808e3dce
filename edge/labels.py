"""Label files: one class per line, in the order of the model's outputs."""

from __future__ import annotations

import re
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
    lines = [line.strip() for line in text.replace("\r\n", "\n").split("\n")]
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
    """Read a label file, with or without the numbers of the classes before their names.

    Where every line starts with its own number, from 0, and the names without numbers differ, as in "0 tench"
    and "1 goldfish", the numbers are dropped. Raises LabelError when the file cannot be read, is no label
    file, or numbers its lines in another order.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise LabelError(f"{path}: the label file cannot be read ({error.strerror})") from None
    if len(raw) > MAX_BYTES:
        raise LabelError(f"{path} is larger than {MAX_BYTES // 1024**2} MiB: not a label file")
    return _without_numbers(parse_labels(raw, str(path)), str(path))


def _without_numbers(labels: tuple[str, ...], origin: str) -> tuple[str, ...]:
    matches = [re.fullmatch(r"(\d{1,9})[\s:,]+(\S.*)", label) for label in labels]
    if len(labels) < 2 or not all(matches):
        return labels
    numbers, names = zip(*((int(match[1]), match[2]) for match in matches if match), strict=True)
    if sorted(numbers) != list(range(len(labels))) or len(set(names)) < len(names):
        return labels
    for line, number in enumerate(numbers):
        if line != number:
            raise LabelError(
                f"{origin} numbers its classes in another order than its lines: line {line + 1} is for class "
                f"{line}, but has the number {number}. Sort the lines by number"
            )
    return names


def check_label_count(labels: tuple[str, ...], outputs: int, origin: str) -> None:
    """Raise LabelError unless there are exactly as many `labels` as `outputs`."""
    if len(labels) == outputs:
        return
    hint = ""
    if len(labels) == outputs - 1:
        hint = (
            " (a difference of one: ImageNet models with 1,001 outputs have a background class first; if "
            "this is such a model, add a first line: background)"
        )
    elif len(labels) == outputs + 1:
        hint = (
            " (a difference of one: only ImageNet models with 1,001 outputs have a background class first; "
            "if the first line is background, remove it)"
        )
    raise LabelError(f"{origin} names {len(labels)} classes, and the model has {outputs} outputs{hint}")
