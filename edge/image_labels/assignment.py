"""Joins the entries of tables with the pictures of a folder: one class for each, contradictions refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..dataset_layout import subset_of
from ..errors import DatasetError
from ..file_name_labels import are_subsets
from ..labelled import LabelledFolder, check_label, labels_of
from ..sources.paths import natural_key
from .picture_index import PictureIndex, is_address, path_below
from .rows import ONE_CLASS, LabelRow, LabelTable

LabelledPath = tuple[Path, str, str | None]
"""A picture, its class, and its subset where something names that."""


@dataclass
class _Entry:
    """What tables say of one picture: the first entry, its place, and whether others contradict it."""

    row: LabelRow
    place: str
    subset: str | None
    differs: bool = False


@dataclass
class _Counts:
    """The entries of which a user should know the number; `missing` are names, with what is there not."""

    rows: int = 0
    repeated: int = 0
    missing: list[str] = field(default_factory=list)
    without_class: int = 0
    several: list[Path] = field(default_factory=list)


class Assignment:
    """Collects the entries of several tables, and ends in the labelled images of the data folder."""

    def __init__(self, index: PictureIndex) -> None:
        """Begin without entries."""
        self._index = index
        self._entries: dict[Path, _Entry] = {}
        self._counts = _Counts()
        self._tables: list[LabelTable] = []

    def finds(self, name: str) -> bool:
        """Return whether a text names a picture that is there."""
        try:
            return self._index.find(name, self._index.root) is not None
        except DatasetError:  # Several pictures have this name.
            return True

    def add(self, table: LabelTable, subset: str | None = None, within: Path | None = None) -> None:
        """Add a table; `subset` is that of entries that name none, `within` the folder of its pictures.

        Raises DatasetError for entries of several classes, and for those that contradict each other.
        """
        self._tables.append(table)
        for row in table.rows:
            self._counts.rows += 1
            place = f"{table.path}, {row.place}"
            if len(row.labels) > 1 and not table.annotated:
                several = sum(len(other.labels) > 1 for other in table.rows)
                raise DatasetError(
                    f"{place}: {row.name} has several classes, {' and '.join(row.labels[:3])}, as have "
                    f"{several:,} of {len(table.rows):,} entries, but {ONE_CLASS}. Keep one, or remove such "
                    "entries"
                )
            for label in row.labels:
                check_label(label, f"{place}: {label!r}")
            self._enter(table, row, place, row.subset or subset, within)

    def _enter(
        self, table: LabelTable, row: LabelRow, place: str, subset: str | None, within: Path | None
    ) -> None:
        try:
            path = self._index.find(row.name, table.path.parent, within)
        except DatasetError as error:
            raise DatasetError(f"{place}: {error}") from None
        if path is None:
            if row.labels:
                self._counts.missing.append(row.name)
            path = path_below(self._index.root, row.name)
        earlier = self._entries.setdefault(path, _Entry(row, place, subset))
        if earlier.row is row:
            return
        if earlier.row.labels == row.labels and earlier.subset == subset:
            self._counts.repeated += not table.annotated
        elif table.annotated and earlier.subset == subset:
            earlier.differs = True
        else:
            raise DatasetError(
                f"{earlier.place} and {place} contradict each other on {row.name}: "
                f"{_told(earlier.row, earlier.subset)}, and {_told(row, subset)}. Keep one of them"
            )

    def finish(self) -> LabelledFolder:
        """Return the labelled images; raises DatasetError where there are none."""
        images: list[LabelledPath] = []
        for path, entry in self._entries.items():
            if entry.differs or len(entry.row.labels) > 1:
                self._counts.several.append(path)
            elif not entry.row.labels:
                self._counts.without_class += 1
            else:
                images.append((path, entry.row.labels[0], entry.subset))
        named_by = " and ".join(dict.fromkeys(table.path.name for table in self._tables))
        self._require_some(images, named_by)
        if are_subsets(labels := sorted({label for _, label, _ in images})):
            raise DatasetError(
                f"{named_by} gives {', '.join(labels)} as classes, which are subsets. Name the column "
                "of the classes with --label-columns label=NAME"
            )
        read = [remark for table in self._tables for remark in table.remarks]
        return arrange(self._index.root, images, named_by, (*read, *self._remarks(named_by)))

    def _require_some(self, images: Sequence[LabelledPath], named_by: str) -> None:
        pictures, missing = self._index.pictures, self._counts.missing
        if len(self._counts.several) > len(images):
            raise DatasetError(
                f"{named_by} gives several classes to {len(self._counts.several):,} pictures and one class "
                f"to {len(images):,}, but {ONE_CLASS}"
            )
        if not images:
            raise DatasetError(f"{named_by} gives no picture a class ({self._counts.rows:,} entries)")
        if len(missing) < len(images) or any(path in self._entries for path in pictures):
            return
        if is_address(missing[0]):
            raise DatasetError(
                f"{named_by} names pictures by addresses, such as {missing[0][:80]}, and nothing is "
                f"downloaded: put them into {self._index.root}, under the names that end the addresses"
            )
        there = f", such as {pictures[0].relative_to(self._index.root)}" if pictures else ""
        raise DatasetError(
            f"{named_by} names {len(missing):,} pictures, such as {missing[0][:80]}, and none of them is in "
            f"{self._index.root}, which holds {len(pictures):,} pictures{there}. Give the folder that the "
            "names begin in, or another column with --label-columns"
        )

    def _remarks(self, named_by: str) -> Iterable[str]:
        counts = self._counts
        several = counts.several
        alone = [path for path in self._index.pictures if path not in self._entries]
        if counts.repeated:
            yield f"{named_by}: entries that stand there more than once, and agree: {counts.repeated:,}"
        if counts.missing:
            yield (
                f"{named_by}: pictures that are not there: {len(counts.missing):,}, such as "
                f"{counts.missing[0][:80]}"
            )
        if counts.without_class:
            yield f"{named_by}: pictures without a class, left out: {counts.without_class:,}"
        if several:
            yield (
                f"{named_by}: pictures with several classes, or on which people differ, left out, since "
                f"{ONE_CLASS}: {len(several):,}, such as {several[0].relative_to(self._index.root)}"
            )
        if alone:
            yield (
                f"Pictures that {named_by} does not name, left out: {len(alone):,}, such as "
                f"{alone[0].relative_to(self._index.root)}"
            )


def arrange(
    root: Path, images: Sequence[LabelledPath], named_by: str, remarks: Iterable[str] = ()
) -> LabelledFolder:
    """Return images by subset and label, in natural order.

    Where nothing names subsets, folders do, if each image lies in one as train/ or test/. Raises DatasetError
    where some images have a subset and others none, or none is for training.
    """
    said = list(remarks)
    said += _alike_labels(label for _, label, _ in images)
    if all(subset is None for _, _, subset in images):
        images = _by_folders(root, images)
        if any(subset for _, _, subset in images):
            said.append("Subsets are those of the folders that the pictures lie in")
    elif lacking := [path for path, _, subset in images if subset is None]:
        raise DatasetError(
            f"{named_by} names no subset for {lacking[0].relative_to(root)}, and one for others. Name one "
            "for each"
        )
    names = {subset or "all" for _, _, subset in images}
    if len(names) == 1 and names != {"all"}:
        said.append(f"All pictures are {names.pop()} images, and are taken as one set without subsets")
        images = [(path, label, None) for path, label, _ in images]
    elif names != {"all"} and "train" not in names:
        raise DatasetError(f"{named_by} has {' and '.join(sorted(names))} images, and none for training")
    subsets: dict[str, dict[str, list[Path]]] = {}
    for path, label, subset in sorted(images, key=lambda image: natural_key(image[0])):
        subsets.setdefault(subset or "all", {}).setdefault(label, []).append(path)
    ordered = {
        name: {label: subsets[name][label] for label in sorted(subsets[name], key=natural_key)}
        for name in sorted(subsets)
    }
    labels = labels_of(ordered, {name: f"{named_by} ({name})" for name in ordered})
    return LabelledFolder(root, labels, ordered, tuple(said), named_by)


def _alike_labels(labels: Iterable[str]) -> list[str]:
    """Return a remark on classes that may be one: "Cat" and "cat"."""
    alike: dict[str, set[str]] = {}
    for label in labels:
        alike.setdefault(label.casefold(), set()).add(label)
    found = [" and ".join(sorted(names)) for names in alike.values() if len(names) > 1]
    return [f"Classes that differ in capital letters only: {', '.join(found)}"] if found else []


def _by_folders(root: Path, images: Sequence[LabelledPath]) -> list[LabelledPath]:
    """Return the images with the subsets of their folders; without, where one lies in no such folder."""
    found = [_subset_of_path(path.relative_to(root)) for path, _, _ in images]
    if None in found or len(set(found)) < 2:
        return list(images)
    return [(path, label, subset) for (path, label, _), subset in zip(images, found, strict=True)]


def _subset_of_path(path: Path) -> str | None:
    for name in path.parent.parts:
        if found := subset_of(name):
            return found[0]
    return None


def _told(row: LabelRow, subset: str | None) -> str:
    return (" and ".join(row.labels) or "no class") + (f" ({subset})" if subset else "")
