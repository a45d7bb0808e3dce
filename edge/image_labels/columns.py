"""Which columns of a table name the picture, its class and its subset."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..dataset_layout import subset_of
from ..errors import DatasetError

_KEYS = ("image", "label", "split")
_PART = re.compile(r",(?=(?:image|label|split)=)")
# Lower case without spaces, "_" and "-"; those of a later tier count where none of an earlier one is there.
_IMAGE_NAMES = (
    (
        "filename", "filenames", "file", "files", "filepath", "filepaths", "image", "images", "img",
        "imgs", "imagename", "imagenames", "imagepath", "imagepaths", "imagefile", "imagefilename",
        "imgname", "imgpath", "imgfile", "imgfilename", "imageid", "imgid", "picture", "pictures",
        "picturename", "photo", "photos", "photoname", "photopath", "photoid", "path", "paths", "relpath",
        "fname", "fpath", "sourceref",
    ),
    (
        "imageurl", "imgurl", "url", "urls", "uri", "link",
    ),
    (
        "id", "name", "key",
    ),
)  # fmt: skip
_LABEL_NAMES = (
    (
        "label", "labels", "class", "classes", "classname", "classnames", "labelname", "labelnames",
        "category", "categories", "categoryname", "target", "targets", "targetname", "choice", "choices",
        "annotation", "annotations", "groundtruth",
    ),
    (
        "classid", "labelid", "categoryid", "species", "breed", "diagnosis", "dx", "tag", "tags", "type",
        "y", "name",
    ),
)  # fmt: skip
_SPLIT_NAMES = (
    "split", "splits", "subset", "subsets", "set", "dataset", "datasplit", "datasetsplit", "partition",
    "fold", "usage",
)  # fmt: skip
_ONE_HOT = {"0": False, "1": True, "0.0": False, "1.0": True, "": False, "false": False, "true": True}
_SHOWN = 200


@dataclass(frozen=True)
class Columns:
    """The names, or the numbers from 1, of the columns that the user named; None: to be found."""

    image: str | None = None
    label: str | None = None
    split: str | None = None

    @classmethod
    def parse(cls, text: str) -> Columns:
        """Read "image=photo,label=species"; raises ValueError."""
        pairs = [part.partition("=") for part in _PART.split(text)]
        given = {key.strip(): name.strip() for key, _, name in pairs}
        if not all(given.values()) or not set(given) <= set(_KEYS) or len(given) < len(pairs):
            raise ValueError(
                "must name columns as image=NAME,label=NAME, and perhaps split=NAME, each once. "
                f"Received: {text}"
            )
        return cls(**given)

    def to_text(self) -> str:
        """Return what parse reads."""
        return ",".join(f"{key}={name}" for key in _KEYS if (name := getattr(self, key)) is not None)


class Record(NamedTuple):
    """A row of a table, or an object of a JSON list; `place` is "line 7" or "entry 3"."""

    place: str
    values: dict[str, Any]


class Chosen(NamedTuple):
    """The columns to read; where `label` is None, each of `classes` is a class and holds 0 or 1."""

    image: str
    label: str | None
    classes: tuple[str, ...]
    split: str | None


def unused_split(names: Sequence[str], used: str | None) -> str | None:
    """Return a column with the usual name of a split that holds none of train, validation and test."""
    return next((name for name in names if _plain(name) in _SPLIT_NAMES), None) if used is None else None


def choose_columns(
    origin: str,
    names: Sequence[str],
    records: Sequence[Record],
    given: Columns,
    finds: Callable[[str], bool],
) -> Chosen:
    """Return the columns that `given` names, and the others by the usual names.

    `finds` returns whether a text names a picture that is there. Raises DatasetError, which lists the columns
    and says how to name them, where they are not clear.
    """
    image = _given(origin, names, given.image) or _find_image(origin, names, records, finds)
    split = _given(origin, names, given.split) or _find_split(names, records, image)
    rest = [name for name in names if name not in (image, split)]
    label = _given(origin, names, given.label) or _find_label(origin, names, rest, records)
    classes = () if label else tuple(name for name in rest if _is_one_hot(name, records))
    if label is None and len(classes) < 2:
        raise _unclear(origin, names, "class")
    return Chosen(image, label, classes, split)


def is_header(cells: Sequence[str], given: Columns) -> bool:
    """Return whether the first line of a table holds the usual name of a picture, or a name of `given`."""
    usual = [name for tier in _IMAGE_NAMES for name in tier]
    wanted = {
        _plain(name) for name in (given.image, given.label, given.split) if name and not name.isdecimal()
    }
    return any(_plain(cell) in usual or _plain(cell) in wanted for cell in cells)


def is_one(value: Any) -> bool:
    """Return whether a cell of a column of 0 and 1 holds a 1."""
    return _ONE_HOT.get(_cell(value), False)


def _given(origin: str, names: Sequence[str], wanted: str | None) -> str | None:
    if wanted is None:
        return None
    if wanted in names:
        return wanted
    alike = [name for name in names if _plain(name) == _plain(wanted)]
    if len(alike) == 1:
        return alike[0]
    if wanted.isdecimal() and 1 <= int(wanted) <= len(names):
        return names[int(wanted) - 1]
    raise DatasetError(f"{origin} has no column {wanted!r}. Its columns are {_listed(names)}")


def _find_image(
    origin: str, names: Sequence[str], records: Sequence[Record], finds: Callable[[str], bool]
) -> str:
    """Return the column of the usual name; of several, the one that names most pictures that are there."""
    usual = [name for tier in _IMAGE_NAMES for name in names if _plain(name) in tier]
    if not usual:
        raise _unclear(origin, names, "picture")
    probed = records[:_SHOWN]
    counts = {name: sum(finds(str(r.values.get(name, ""))) for r in probed) for name in usual}
    return max(usual, key=lambda name: counts[name])


def _find_label(
    origin: str, names: Sequence[str], rest: Sequence[str], records: Sequence[Record]
) -> str | None:
    """Return the column of the usual name; of a name and a number of the same class, that of the names.

    None where no column is called so.
    """
    tiers = [[name for name in rest if _plain(name) in tier] for tier in _LABEL_NAMES]
    for usual in tiers:
        filled = [name for name in usual if any(_cell(record.values.get(name)) for record in records)]
        words = [name for name in filled if not all(_is_number(r.values.get(name)) for r in records)]
        if len(filled) > 1 and words and all(_agree(words[0], other, records) for other in filled):
            return words[0]
        if len(filled) > 1:
            raise _unclear(origin, names, "class")
        if filled:
            return filled[0]
    return next((name for usual in tiers for name in usual), None)


def _agree(one: str, other: str, records: Sequence[Record]) -> bool:
    """Return whether each value of one column goes with one value of the other, as a name and its number."""
    pairs = {(str(r.values.get(one)), str(r.values.get(other))) for r in records}
    return len(pairs) == len({first for first, _ in pairs}) == len({second for _, second in pairs})


def _find_split(names: Sequence[str], records: Sequence[Record], image: str) -> str | None:
    """Return the column of the usual name that holds names of subsets; a number of a fold is none."""
    for name in names:
        usual = name != image and _plain(name) in _SPLIT_NAMES
        if usual and any(subset_of(_cell(record.values.get(name))) for record in records):
            return name
    return None


def _is_one_hot(name: str, records: Sequence[Record]) -> bool:
    return bool(name.strip()) and all(_cell(record.values.get(name)) in _ONE_HOT for record in records)


def _is_number(value: Any) -> bool:
    return re.fullmatch(r"-?\d*\.?\d*", _cell(value)) is not None


def _cell(value: Any) -> str:
    return "" if value is None else str(value).strip().lower()


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()


def _unclear(origin: str, names: Sequence[str], what: str) -> DatasetError:
    return DatasetError(
        f"{origin} does not make clear which column names the {what}: it has {_listed(names)}. Say it with "
        "--label-columns image=NAME,label=NAME, or by numbers, as image=1,label=2"
    )


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(name.strip() or "(no name)" for name in names)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."
