"""Labelled images in class folders, FOLDER/LABEL/*.jpg, perhaps inside train/, val/ and test/."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from .errors import DatasetError
from .image import is_image_name
from .sources.paths import natural_key

_SUBSET_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
_EVALUATED_FIRST = ("test", "all", "validation", "train")
_NOT_IN_LABELS = ("Cc", "Cs", "Zl", "Zp")  # Controls, broken UTF-8, separators of lines and paragraphs.


@dataclass(frozen=True)
class LabelledImage:
    """An image file and its class; `sha256` is the expected hash of its bytes, if it is known."""

    path: Path
    label: str
    sha256: str | None = None


@dataclass(frozen=True)
class ClassFolders:
    """The content of a data folder: `labels` in natural order, and image paths by subset and label.

    A folder without train/ has only the subset "all".
    """

    root: Path
    labels: tuple[str, ...]
    subsets: dict[str, dict[str, list[Path]]]

    @property
    def evaluation_subset(self) -> str:
        """The subset to measure a model on: "test" or "all", else "validation", else "train"."""
        return next(name for name in _EVALUATED_FIRST if name in self.subsets)

    def images(self, subset: str) -> list[LabelledImage]:
        """Return the images of a subset, class by class in natural order.

        Raises DatasetError if the subset has no images.
        """
        classes = self.subsets[subset]
        images = [LabelledImage(path, label) for label, paths in classes.items() for path in paths]
        if not images:
            raise DatasetError(f"{self.root}: its {subset} folder holds no images")
        return images


def scan_class_folders(root: Path) -> ClassFolders:
    """List a data folder without opening its images.

        found = scan_class_folders(Path("flowers"))
        found.labels                           # ("daisy", "rose")
        found.images(found.evaluation_subset)  # [LabelledImage(PosixPath('flowers/test/daisy/1.jpg'), ...

    The list leaves out hidden files, files without the name of an image, pipes, links to folders inside a
    class, and links to a folder that contains them. Links to files are followed; broken and circular links
    are listed, so that reading them reports an error. Folders inside a class folder belong to the class. A
    class may have no images. Raises DatasetError, which says what was found instead.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder" if not root.exists() else f"{root} is not a folder")
    try:
        return _scan(root)
    except OSError as error:
        raise DatasetError(f"{error.filename or root} cannot be read ({error.strerror})") from None


def is_text(name: str) -> bool:
    """Return whether a file's name is valid UTF-8; Linux allows any bytes."""
    return all(unicodedata.category(c) != "Cs" for c in name)


def _scan(root: Path) -> ClassFolders:
    if folders := _find_subsets(root):
        subsets = {name: _scan_classes(folder) for name, folder in folders.items()}
        labels = tuple(subsets["train"])
        for name, classes in subsets.items():
            if unknown := [label for label in classes if label not in subsets["train"]]:
                raise DatasetError(
                    f"{folders[name]} has classes that {folders['train']} lacks: {', '.join(unknown)}. "
                    "Add training images of these classes, or remove their folders"
                )
    else:
        subsets = {"all": _scan_classes(root)}
        labels = tuple(subsets["all"])
    if not any(paths for classes in subsets.values() for paths in classes.values()):
        raise DatasetError(_describe_empty(root))
    return ClassFolders(root, labels, subsets)


def _find_subsets(root: Path) -> dict[str, Path]:
    """Return the folders of the training, validation and test set; none if the folders are classes.

    Raises DatasetError where they are neither.
    """
    folders = _folders(root)
    named = [(_SUBSET_NAMES[f.name.lower()], f) for f in folders if f.name.lower() in _SUBSET_NAMES]
    subsets = dict(named)
    with_classes = [folder for _, folder in named if _folders(folder)]
    if "train" not in subsets or not with_classes or len(folders) > len(subsets) == 1:
        return {}
    for name, folder in named:
        if folder not in with_classes:
            raise DatasetError(f"{folder} must hold one sub-folder for each class, as {with_classes[0]} does")
        if folder != subsets[name]:
            raise DatasetError(f"{folder} and {subsets[name]} are both for {name}: keep one of them")
    return dict(sorted(subsets.items()))


def _scan_classes(folder: Path) -> dict[str, list[Path]]:
    folders = _folders(folder)
    for sub in folders:
        if sub.name != sub.name.strip() or any(unicodedata.category(c) in _NOT_IN_LABELS for c in sub.name):
            raise DatasetError(
                f"The folder {str(sub)!r} cannot name a class: its name begins or ends with a space, or "
                "holds a line break, another control character, or bytes that are not UTF-8. Rename it"
            )
    return {sub.name: sorted(_images(sub), key=natural_key) for sub in folders}


def _folders(root: Path) -> list[Path]:
    found = (p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    return sorted((p for p in found if not _leads_back(p)), key=natural_key)


def _leads_back(folder: Path) -> bool:
    """Return whether a link leads to a folder that contains the link: a class would hold all the others."""
    return folder.is_symlink() and folder.resolve() in folder.parent.resolve().joinpath("x").parents


def _images(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(root, name)
            # Reading a pipe would wait for ever; a broken link is listed, and reported when it is read.
            if is_image_name(path) and (path.is_file() or not path.exists()):
                yield path


def _raise(error: OSError) -> NoReturn:
    raise error


def _describe_empty(root: Path) -> str:
    loose = sum(1 for path in root.iterdir() if path.is_file() and is_image_name(path))
    found = f"{loose} images lie in it directly" if loose else "no images were found"
    return f"{root} must hold one sub-folder for each class, with images in it: {found}"
