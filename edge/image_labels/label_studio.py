"""Label Studio's JSON export: a list of tasks with their annotations (labelstud.io/guide/export.html)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ..errors import DatasetError
from ..picture_kinds import SUFFIXES
from .columns import Columns
from .rows import LabelRow, LabelTable, label_texts

_ANNOTATIONS = ("annotations", "completions")  # The latter until version 0.9.
_IMAGE_KEYS = ("image", "img", "picture", "photo", "url")


class _Mark(NamedTuple):
    """What one person chose by one control of the labelling page; perhaps for a place in the picture."""

    control: str
    labels: tuple[str, ...]
    is_place: bool


def is_label_studio(value: Any) -> bool:
    """Return whether a JSON value is a list of tasks. JSON-MIN is a plain list of objects, and is none."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(task, dict) and isinstance(task.get("data"), dict) for task in value)
        and any(isinstance(task.get(key), list) for task in value for key in _ANNOTATIONS)
    )


def read_label_studio(path: Path, tasks: Sequence[Mapping[str, Any]], given: Columns) -> LabelTable:
    """Return a row for each person's annotation of each task; cancelled ones and predictions don't count.

    `given.label` is the control to read where there are several. Raises DatasetError where that is not clear,
    and for tasks of another form.
    """
    try:
        return _read(path, tasks, given)
    except (TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path} looks like an export of Label Studio, and is none that is known ({error}). Export it as "
            "JSON, JSON-MIN or CSV"
        ) from None


def _read(path: Path, tasks: Sequence[Mapping[str, Any]], given: Columns) -> LabelTable:
    key = _image_key(path, tasks, given)
    read = [(task, [list(_marks(annotation)) for annotation in _annotations(task)]) for task in tasks]
    marks = [mark for _, people in read for marks in people for mark in marks]
    control = _control(path, marks, given)
    rows = []
    for number, (task, people) in enumerate(read, 1):
        chosen = [tuple(dict.fromkeys(_labels(marks, control))) for marks in people]
        name, place = str(task["data"].get(key, "")), f"task {task.get('id', number)}"
        rows += [LabelRow(name, labels, None, place) for labels in filter(None, chosen)]
        if not any(chosen):
            rows.append(LabelRow(name, (), None, place))
    places = sum(mark.is_place for mark in marks)
    remark = f"{path} marks places in pictures ({places:,}): the whole pictures are used"
    return LabelTable(path, tuple(rows), (remark,) if places else (), annotated=True)


def _annotations(task: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key in _ANNOTATIONS:
        for annotation in task.get(key) or ():
            cancelled = annotation.get("was_cancelled") or annotation.get("skipped")
            if not cancelled:
                yield annotation


def _marks(annotation: Mapping[str, Any]) -> Iterator[_Mark]:
    for result in annotation.get("result") or ():
        kind, value = str(result.get("type", "")), result.get("value") or {}
        if kind == "choices" or kind.endswith("labels"):
            labels = label_texts(value.get(kind))
            yield _Mark(str(result.get("from_name", "")), labels, kind != "choices")


def _labels(marks: Sequence[_Mark], control: str | None) -> Iterator[str]:
    for mark in marks:
        if mark.control == control:
            yield from mark.labels


def _control(path: Path, marks: Sequence[_Mark], given: Columns) -> str | None:
    """Return the control whose choices are the classes: the one of the user, else the only one."""
    names = list(dict.fromkeys(mark.control for mark in marks if mark.labels))
    choices = list(dict.fromkeys(mark.control for mark in marks if mark.labels and not mark.is_place))
    if given.label is not None:
        if given.label not in names:
            raise DatasetError(f"{path} has no control {given.label!r}, but {', '.join(names) or 'none'}")
        return given.label
    likely = choices or names
    if len(likely) > 1:
        raise DatasetError(
            f"{path} has several controls that name classes: {', '.join(likely)}. Say which with "
            f"--label-columns label={likely[0]}"
        )
    return likely[0] if likely else None


def _image_key(path: Path, tasks: Sequence[Mapping[str, Any]], given: Columns) -> str:
    keys = list(dict.fromkeys(key for task in tasks for key in task["data"]))
    if given.image in keys:
        return str(given.image)
    usual = [key for key in keys if key.lower() in _IMAGE_KEYS]
    likely: list[str] = usual or [key for key in keys if _is_picture(tasks[0]["data"].get(key))]
    if given.image is not None or len(likely) != 1:
        raise DatasetError(
            f"{path} does not make clear which of its data is the picture: {', '.join(keys)}. Say it with "
            "--label-columns image=NAME"
        )
    return likely[0]


def _is_picture(value: Any) -> bool:
    return isinstance(value, str) and PurePosixPath(value.split("?")[0]).suffix.lower() in SUFFIXES
