"""Where the classes of a data folder are named: by its folders, in tables, or in the names of its files."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..dataset_layout import subset_of
from ..errors import DatasetError, LabelError
from ..file_name_labels import Place, are_subsets, label_in_name
from ..label_formats import decode_text
from ..labelled import LabelledFolder, Pictures, check_label, readable, scan_class_folders
from ..placeholders import PLACEHOLDER_BYTES, placeholder
from ..small_files import read_small
from .assignment import Assignment, arrange
from .columns import Columns
from .delimited import read_delimited
from .json_file import read_json
from .picture_index import PictureIndex
from .rows import Finds, LabelTable

_MAX_BYTES = 512 * 1024 * 1024
_OTHER_FORMS = {
    b"PK\3\4": "is a workbook or another packed file. Save its table as CSV",
    b"PAR1": "is a Parquet file. Write its table as CSV",
    b"SQLite format 3\0": "is a database. Export its table as CSV",
    b"<?xml": "is XML, which is not read. Export its table as CSV or JSON",
    b"<annotation": "is XML, which is not read. Export its table as CSV or JSON",
}
_ANY_COLUMNS = Columns()


@dataclass(frozen=True)
class LabelSource:
    """What the user said of where classes are named; nothing: by folders.

    `tables` are files with paths as typed, `columns` those of their columns that the user named, and
    `in_names` the place in the names of the pictures.
    """

    tables: tuple[Path, ...] = ()
    columns: Columns = _ANY_COLUMNS
    in_names: Place | None = None

    @property
    def is_folders(self) -> bool:
        """Whether the folders are the classes."""
        return not self.tables and self.in_names is None


CLASS_FOLDERS = LabelSource()


def scan_labelled(root: Path, source: LabelSource = CLASS_FOLDERS) -> LabelledFolder:
    """List the labelled images of a data folder without decoding them.

        scan_labelled(Path("flowers"), LabelSource((Path("flowers/labels.csv"),))).images("all")

    Pictures that a table names and that are not there are listed too, so that reading them reports that.
    Raises DatasetError, which says what was found instead.
    """
    if source.is_folders:
        return scan_class_folders(root)
    with readable(root):
        found = Pictures(root)
        index = PictureIndex(root, found.below(root))
        if source.in_names:
            return _by_names(index, source.in_names, found.remarks())
        return _by_tables(index, source)


def _by_names(index: PictureIndex, place: Place, remarks: tuple[str, ...]) -> LabelledFolder:
    labels = {path: label_in_name(path.name, place) for path in index.pictures}
    counts = Counter(label for label in labels.values() if label)
    without = [path for path, label in labels.items() if not label]
    single = sum(count == 1 for count in counts.values())
    if not counts or are_subsets(counts) or 2 * single > len(counts):
        found = f"{len(counts):,} beginnings" if place == "start" else f"{len(counts):,} ends"
        such = f", such as {', '.join(list(counts)[:3])}" if counts else ""
        raise DatasetError(
            f"The file names in {index.root} name no classes: {len(labels):,} pictures have {found}{such}. "
            "Give --image-labels FILE, or make a folder for each class"
        )
    for label in counts:
        check_label(label, f"{label!r} in the file names of {index.root}")
    shown = ", ".join(f"{label} ({count:,})" for label, count in sorted(counts.items())[:10])
    said = [f"Classes from the {place} of the file names: {shown}{', ...' if len(counts) > 10 else ''}"]
    if without:
        said.append(
            f"Pictures whose names hold no class, left out: {len(without):,}, such as "
            f"{without[0].relative_to(index.root)}"
        )
    images = [(path, label, None) for path, label in labels.items() if label]
    return arrange(index.root, images, "the file names", (*said, *remarks))


def _by_tables(index: PictureIndex, source: LabelSource) -> LabelledFolder:
    paths = [path for name in source.tables for path in _find_tables(index.root, name)]
    assignment = Assignment(index)
    several = len(paths) > 1
    for path in dict.fromkeys(paths):
        subset = _subset_of_table(index.root, path) if several else None
        within = path.parent if several and _lies_in_subset(index.root, path) else None
        assignment.add(_read_table(path, source.columns, assignment.finds), subset, within)
    return assignment.finish()


def _find_tables(root: Path, name: Path) -> list[Path]:
    """Return the table of a name: here, in the data folder, or deeper, where each subset may have its own."""
    for path in (name, root / name):
        if path.is_file() or path.is_fifo():  # A shell's <(...) is a pipe.
            return [path]
        if path.is_dir():
            raise DatasetError(
                f"--image-labels {path} is a folder. Give the file in it that names the classes"
            )
    found = sorted(path for path in root.rglob("*") if path.name == str(name) and path.is_file())
    if not found:
        raise DatasetError(f"--image-labels {name}: no such file, neither here nor in {root}")
    if len(found) > 1 and not all(_lies_in_subset(root, path) for path in found):
        raise DatasetError(
            f"--image-labels {name}: there are {len(found):,} of this name in {root}, such as {found[0]}. "
            "Give the path of one, or the option several times"
        )
    return found


def _lies_in_subset(root: Path, path: Path) -> bool:
    inside = path.parent.resolve().is_relative_to(root.resolve()) and path.parent.resolve() != root.resolve()
    return inside and subset_of(path.parent.name) is not None


def _subset_of_table(root: Path, path: Path) -> str | None:
    """Return the subset that the folder of a table stands for, or its name: train.csv."""
    found = subset_of(path.parent.name) if _lies_in_subset(root, path) else None
    found = found or subset_of(path.stem.replace("labels", "").replace("annotations", ""))
    return found[0] if found else None


def _read_table(path: Path, columns: Columns, finds: Finds) -> LabelTable:
    raw = read_small(path, _MAX_BYTES, "a table of classes", DatasetError)
    if other := placeholder(raw[:PLACEHOLDER_BYTES]):
        raise DatasetError(f"{path} {other}")
    for start, what in _OTHER_FORMS.items():
        if raw.startswith(start):
            raise DatasetError(f"{path} {what}")
    try:
        text = decode_text(raw, str(path))
    except LabelError as error:
        raise DatasetError(str(error)) from None
    if text.lstrip()[:1] in ("{", "["):
        return read_json(path, text, columns, finds)
    return read_delimited(path, text, columns, finds)
