"""Where the class folders of a data set lie: in its folder, in train/ and test/, or in a wrapper."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .errors import DatasetError
from .file_name_labels import PLACES, classes_in_names, label_in_name
from .picture_kinds import looks_like_picture
from .sources.paths import natural_key

_SUBSETS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
# "dev" alone may be a class; with one of these it is a subset, as in dev_set.
_FILLERS = (
    "set",
    "data",
    "dataset",
    "images",
    "image",
    "imgs",
    "img",
    "pictures",
    "photos",
    "split",
    "folder",
)
_GLUED = re.compile(rf"({'|'.join(_SUBSETS)})({'|'.join(_FILLERS)})")
_NUMBERED = re.compile(r"(train|val|test)\d{1,4}")  # As in test1 and train2017.
_IGNORED = ("__MACOSX",)  # A zip made by macOS holds its own notes under this name.
_UNREAD_TABLES = (".xlsx", ".xls", ".ods", ".parquet")
TABLES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", *_UNREAD_TABLES)
_TABLE_WORDS = ("label", "class", "annot", "metadata", "train")  # In the names of tables that name classes.


@dataclass(frozen=True)
class DatasetLayout:
    """The folders whose sub-folders are the classes, by subset ("all": there are no subsets).

    `remarks` are sentences for the user: a wrapper that was entered, folders that were left out.
    """

    folders: dict[str, Path]
    remarks: tuple[str, ...] = ()


def find_layout(root: Path) -> DatasetLayout:
    """Return where the classes of `root` lie.

    Folders are subsets where their names say so: train, test_set, validation-images, or with a word that they
    share, as seg_train and seg_test. A folder that holds only one other folder, with folders in it, is a
    wrapper, and is entered. Raises DatasetError where subsets hold no classes, or none is for training.
    """
    inner = _unwrapped(root)
    remarks: tuple[str, ...] = (
        () if inner == root else (f"The class folders of {root} lie in {inner.relative_to(root)}",)
    )
    folders = sub_folders(inner)
    named, others = _named_subsets(folders)
    if not named:
        return DatasetLayout({"all": inner}, remarks + _doubts(inner, folders))
    inside = {folder: _unwrapped(folder, name) for name, folder in named}
    with_classes = [folder for _, folder in named if sub_folders(inside[folder])]
    subsets = dict(named)
    if len(subsets) == 1 and (others or not with_classes):
        return DatasetLayout({"all": inner}, remarks + _doubts(inner, folders))
    if not with_classes:
        raise DatasetError(
            f"{inner} has the folders {_names(folders)}, which must hold one sub-folder for each class: they "
            f"are subsets, not classes.{describe_labels(inner, *folders)}"
        )
    for name, folder in named:
        if folder not in with_classes:
            raise DatasetError(f"{folder} must hold one sub-folder for each class, as {with_classes[0]} does")
        if folder != subsets[name]:
            raise DatasetError(f"{folder} and {subsets[name]} are both for {name}: keep one of them")
    if "train" not in subsets:
        raise DatasetError(
            f"{inner} has {_names(folders)}, and no folder for training. Add train/, or give one of them "
            f"alone: {with_classes[0]}"
        )
    entered = [inside[folder] for _, folder in named if inside[folder] != folder]
    if entered:
        remarks += (f"The class folders lie in {', '.join(str(f.relative_to(root)) for f in entered)}",)
    if others:
        remarks += (f"Left out, since they are no subset of {inner}: {_names(others)}",)
    remarks += _folders_in_classes({c: sub_folders(c) for c in sub_folders(inside[subsets["train"]])})
    return DatasetLayout({name: inside[folder] for name, folder in sorted(subsets.items())}, remarks)


def sub_folders(root: Path) -> list[Path]:
    """Return the folders in a folder, in natural order: none that is hidden, or a link that leads back."""
    found = (
        p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".") and p.name not in _IGNORED
    )
    return sorted((p for p in found if not _leads_back(p)), key=natural_key)


def subset_of(name: str) -> tuple[str, str] | None:
    """Return the subset that a folder's name stands for, and the rest of the name; None for other names.

    Example:
        >>> subset_of("training_set"), subset_of("seg_train2017"), subset_of("cats")
        (('train', ''), ('train', 'seg'), None)
    """
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
    if len(words) == 1 and (glued := _GLUED.fullmatch(words[0])):
        words = [glued[1], glued[2]]
    words = [match[1] if (match := _NUMBERED.fullmatch(word)) else word for word in words]
    found = [word for word in words if word in _SUBSETS]
    if len(found) != 1 or words == ["dev"]:
        return None
    return _SUBSETS[found[0]], " ".join(w for w in words if w != found[0] and w not in _FILLERS)


def describe_labels(*folders: Path) -> str:
    """Return what may name the classes of images that lie in no class folders, with the remedy, or "".

    Tables beside the images, and file names that begin or end alike ("cat.0.jpg"), are looked for.
    """
    for folder in folders:
        if table := _likely_table(folder):
            alike = [other for other in folders if (other / table.name).is_file()]
            remedy = _remedy(table if len(alike) == 1 else Path(table.name))
            return f" {table} may name the classes: {remedy}, or make a folder for each class"
    for folder in folders:
        names = [p.name for p in folder.iterdir() if p.is_file() and looks_like_picture(str(p))]
        for place in PLACES:
            if found := classes_in_names(names, place):
                shown = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
                where = "begin with" if place == "start" else "end in"
                return (
                    f" The file names in {folder} {where} {shown}: if these are the classes, give "
                    f"--labels-from-names {place}, or make a folder for each"
                )
    return ""


def _likely_table(folder: Path) -> Path | None:
    """Return the table in a folder that most likely names classes: not the example of a submission."""
    found = [path for path in sorted(folder.iterdir(), key=natural_key) if path.suffix.lower() in TABLES]
    tables = [path for path in found if "submission" not in path.stem.lower()]
    return next(filter(_names_classes, tables), tables[0] if tables else None)


def _names_classes(table: Path) -> bool:
    return any(word in table.stem.lower() for word in _TABLE_WORDS)


def _remedy(table: Path) -> str:
    if table.suffix.lower() in _UNREAD_TABLES:
        return f"save it as CSV, and give --image-labels {shlex.quote(str(table.with_suffix('.csv')))}"
    return f"give --image-labels {shlex.quote(str(table))}"


def _named_subsets(folders: list[Path]) -> tuple[list[tuple[str, Path]], list[Path]]:
    """Return the folders that are subsets, with their names, and the other ones.

    A rest that only one folder has makes it a class: "train_station".
    """
    found = [(subset, folder) for folder in folders if (subset := subset_of(folder.name))]
    rests = Counter(rest for (_, rest) in {subset for subset, _ in found})
    named = [(name, folder) for (name, rest), folder in found if not rest or rests[rest] > 1]
    taken = [folder for _, folder in named]
    return named, [folder for folder in folders if folder not in taken]


def _doubts(root: Path, classes: list[Path]) -> tuple[str, ...]:
    """Return what speaks against folders as classes: the user sees it and decides."""
    inside = {folder: sub_folders(folder) for folder in classes}
    remarks = _splits_in_classes(inside) or _folders_in_classes(inside)
    if len(classes) < 2:  # Refused, or the user knows.
        return remarks
    if all(any(c.isalpha() for c in folder.name) and not label_in_name(folder.name) for folder in classes):
        remarks += (f"The folders {_names(classes[:3])} are taken as classes, and look like parts of one",)
    table = _likely_table(root)
    if table and _names_classes(table):
        remarks += (
            f"{table} is not read, since folders name the classes: give --image-labels "
            f"{shlex.quote(str(table))} if it is right",
        )
    return remarks


def _splits_in_classes(inside: dict[Path, list[Path]]) -> tuple[str, ...]:
    for folder, folders in inside.items():
        subsets = {sub: found[0] for sub in folders if (found := subset_of(sub.name))}
        if {"train"} < set(subsets.values()):
            return (
                f"{folder} is a class that holds {_names(list(subsets))}: all of them are used together. To "
                "keep them apart, put class folders into folders of these names",
            )
    return ()


def _folders_in_classes(inside: dict[Path, list[Path]]) -> tuple[str, ...]:
    deeper = {
        folder: [sub for sub in folders if not sub.is_symlink() and _has_images(sub)]
        for folder, folders in inside.items()
    }
    holding = [folder for folder, folders in deeper.items() if folders]
    if not holding:
        return ()
    return (
        f"Classes that hold folders, whose pictures are taken as the class's own: {len(holding):,}, such as "
        f"{holding[0]} ({_names(deeper[holding[0]][:5])})",
    )


def _unwrapped(folder: Path, subset: str | None = None) -> Path:
    """Return the folder that holds the classes or subsets: below wrappers that hold one folder and no image.

    A single folder for training is a wrapper only in the folder of the same `subset`. A class whose images
    lie in one deeper folder is none.
    """
    inner, inside = folder, sub_folders(folder)
    while len(inside) == 1 and not _is_train(inside[0], subset):
        if _has_images(inner) or _has_images(inside[0]):
            return inner if subset_of(inner.name) else folder
        inner, inside = inside[0], sub_folders(inside[0])
    return inner if inside else folder


def _is_train(folder: Path, subset: str | None) -> bool:
    found = subset_of(folder.name)
    return found is not None and found[0] == "train" != subset


def _has_images(folder: Path) -> bool:
    return any(path.is_file() and looks_like_picture(str(path)) for path in folder.iterdir())


def _leads_back(folder: Path) -> bool:
    """Return whether a link leads to a folder that contains the link: a class would hold all the others."""
    return folder.is_symlink() and folder.resolve() in folder.parent.resolve().joinpath("x").parents


def _names(folders: list[Path]) -> str:
    return ", ".join(unicodedata.normalize("NFC", folder.name) for folder in folders)
