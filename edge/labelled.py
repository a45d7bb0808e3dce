"""Labelled images of a folder; and how class folders are read: FOLDER/LABEL/*.jpg, or in train/ and test/."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from .dataset_layout import TABLES, describe_labels, find_layout, sub_folders
from .errors import DatasetError
from .picture_kinds import looks_like_picture
from .sources.paths import Links, OtherFiles, natural_key

_EVALUATED_FIRST = ("test", "all", "validation", "train")
_NOT_IN_LABELS = ("Cc", "Cs", "Zl", "Zp")  # Controls, broken UTF-8, separators of lines and paragraphs.


@dataclass(frozen=True)
class LabelledImage:
    """An image file and its class; `sha256` is the expected hash of its bytes, if it is known."""

    path: Path
    label: str
    sha256: str | None = None


@dataclass(frozen=True)
class LabelledFolder:
    """The content of a data folder: `labels` in natural order, and image paths by subset and label.

    A folder without subsets has only the subset "all". `remarks` say where the classes were found, if not in
    the folder itself, and what was left out. `named_by` is what names the classes, such as "labels.csv": None
    where folders do.
    """

    root: Path
    labels: tuple[str, ...]
    subsets: dict[str, dict[str, list[Path]]]
    remarks: tuple[str, ...] = ()
    named_by: str | None = None

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
            raise DatasetError(f"{self.root} holds no {subset} images")
        return images


def scan_class_folders(root: Path) -> LabelledFolder:
    """List a data folder without decoding its images.

        found = scan_class_folders(Path("flowers"))
        found.labels                           # ("daisy", "rose")
        found.images(found.evaluation_subset)  # [LabelledImage(PosixPath('flowers/test/daisy/1.jpg'), ...

    The list has what `Pictures` finds. Folders inside a class folder belong to the class. A class may have no
    images. Class names are in Unicode's composed form (NFC). Where the classes lie is found by `find_layout`.
    Raises DatasetError, which says what was found instead.
    """
    with readable(root):
        return _scan(root)


@contextmanager
def readable(root: Path) -> Iterator[None]:
    """Raise DatasetError for a data folder that is none, or that the system does not let read."""
    if not root.exists():
        raise DatasetError(f"{root}: no such folder")
    if not root.is_dir():
        table = root.suffix.lower() in TABLES
        hint = f". Give the folder of the pictures, and --image-labels {root}" if table else ""
        raise DatasetError(f"{root} is not a folder{hint}")
    try:
        yield
    except OSError as error:
        raise DatasetError(f"{error.filename or root} cannot be read ({error.strerror})") from None


class Pictures:
    """Lists what looks like an image or a film in a data folder, by its suffix or else its first bytes.

    Reading a film, or an image that is not read, reports an error. Hidden files, other files and pipes are
    left out. Links to files are followed; broken and circular ones are listed, so that reading them reports
    an error. Links to folders outside of the data folder are followed, each place once.
    """

    def __init__(self, root: Path) -> None:
        """Begin with the data folder `root`."""
        self._root = root
        self._others, self._links = OtherFiles(), 0

    def below(self, folder: Path) -> list[Path]:
        """Return the pictures in the data folder, or in one that lies in it, in natural order."""
        return sorted(self._walk(folder), key=natural_key)

    def remarks(self) -> tuple[str, ...]:
        """Return what was left out so far."""
        left_out = self._others.remark()
        links = f"Links to folders that are in the data set already, not followed: {self._links:,}"
        return (*([left_out] if left_out else []), *([links] if self._links else []))

    def _walk(self, start: Path) -> Iterator[Path]:
        links = Links(str(self._root), str(start))
        for root, folders, names in os.walk(start, onerror=_raise, followlinks=True):
            entered = []
            for name in sorted(folders):  # The order decides which of several links is followed.
                inner = os.path.join(root, name)  # noqa: PTH118 - For each folder of a large data set.
                is_link = os.path.islink(inner)  # noqa: PTH114
                if name.startswith(".") or not links.enter(inner, is_link):
                    self._links += is_link and not name.startswith(".")
                else:
                    entered.append(name)
            folders[:] = entered
            for name in names:
                path = Path(root, name)
                # Reading a pipe would wait for ever; a broken link is listed, and reported when it is read.
                may_be_picture = path.is_file() or not path.exists()
                if may_be_picture and looks_like_picture(str(path)):
                    yield path
                else:
                    self._others.count += 1


def is_text(name: str) -> bool:
    """Return whether a file's name is valid UTF-8; Linux allows any bytes."""
    return all(unicodedata.category(c) != "Cs" for c in name)


def is_label(text: str) -> bool:
    """Return whether a text can name a class: no space around it, no control character, valid Unicode."""
    return text == text.strip() and not any(unicodedata.category(c) in _NOT_IN_LABELS for c in text)


def check_label(label: str, origin: str) -> None:
    """Raise DatasetError, which begins with `origin`, for a text that cannot name a class."""
    if not is_label(label):
        raise DatasetError(
            f"{origin} cannot name a class: its name begins or ends with a space, or holds a line break, "
            "another control character, or bytes that are not UTF-8. Rename it"
        )


def labels_of(subsets: dict[str, dict[str, list[Path]]], origins: Mapping[str, str]) -> tuple[str, ...]:
    """Return the labels, which are those of the training images where there are subsets.

    Raises DatasetError, which names the subsets by `origins`, for a class that only another one has.
    """
    first = "train" if "train" in subsets else "all"
    for name, classes in subsets.items():
        if unknown := [label for label in classes if label not in subsets[first]]:
            raise DatasetError(
                f"{origins[name]} has classes that {origins[first]} lacks: {', '.join(unknown)}. Add "
                "training images of these classes, or remove them"
            )
    return tuple(subsets[first])


def _scan(root: Path) -> LabelledFolder:
    pictures = Pictures(root)
    layout = find_layout(root)
    subsets = {name: _scan_classes(folder, pictures) for name, folder in layout.folders.items()}
    labels = labels_of(subsets, {name: str(folder) for name, folder in layout.folders.items()})
    if not any(paths for classes in subsets.values() for paths in classes.values()):
        raise DatasetError(_describe_empty(root))
    remarks = (*layout.remarks, *_left_out(layout.folders), *_without_pictures(subsets), *pictures.remarks())
    return LabelledFolder(root, labels, subsets, remarks)


def _left_out(folders: Mapping[str, Path]) -> tuple[str, ...]:
    """Return a remark on pictures beside the folders of classes or subsets."""
    places = {*folders.values(), *(folder.parent for name, folder in folders.items() if name != "all")}
    loose = [path for place in sorted(places) for path in _pictures_in(place)]
    if not loose:
        return ()
    return (
        f"Pictures without a class, since they lie in no class folder: {len(loose):,}, such as {loose[0]}",
    )


def _pictures_in(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if path.is_file() and looks_like_picture(str(path)))
    return sorted(found, key=natural_key)


def _without_pictures(subsets: Mapping[str, Mapping[str, list[Path]]]) -> tuple[str, ...]:
    """Return a remark on classes that have nothing to learn from."""
    empty = [label for label, paths in subsets["train" if "train" in subsets else "all"].items() if not paths]
    kind = " training" if "train" in subsets else ""
    return (f"Classes without{kind} pictures: {', '.join(empty[:10])} ({len(empty):,})",) if empty else ()


def _scan_classes(folder: Path, pictures: Pictures) -> dict[str, list[Path]]:
    folders = sub_folders(folder)
    for sub in folders:
        check_label(sub.name, f"The folder {str(sub)!r}")
    classes: dict[str, list[Path]] = {}
    for sub in folders:  # macOS writes "é" as two characters, others as one: the same name is the same class.
        classes.setdefault(unicodedata.normalize("NFC", sub.name), []).extend(pictures.below(sub))
    return classes


def _raise(error: OSError) -> NoReturn:
    raise error


def _describe_empty(root: Path) -> str:
    loose = len(_pictures_in(root))
    found = f"{loose} images lie in it directly" if loose else "no images were found"
    return (
        f"{root} must hold one sub-folder for each class, with images in it: {found}.{describe_labels(root)}"
    )
