"""Labelled images: class folders, perhaps in train/, val/ and test/, a run of edge-train, and samples."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...edge.errors import DatasetError, OptionError
from ...edge.image import is_image_name
from ...edge.sources.paths import natural_key
from .split import FILE_NAME, LabelledImage, Split

_SUBSET_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
# Not: name their folder as --data. That would measure on the training images too.
_MOVED = "Say where they are with --images FOLDER"
_NOT_IN_LABELS = ("Cc", "Cs", "Zl", "Zp")  # Controls, broken UTF-8, separators of lines and paragraphs.


@dataclass(frozen=True)
class ClassFolders:
    """What a data folder holds: `labels` in natural order, and image paths by subset and label.

    A folder without train/ has everything under the subset "all".
    """

    root: Path
    labels: tuple[str, ...]
    subsets: dict[str, dict[str, list[Path]]]


class LabelledData(NamedTuple):
    """Labelled images, what to call them, and the folder that their paths are told from.

    `split` is the run's, where they are of a run.
    """

    images: list[LabelledImage]
    name: str
    root: Path
    split: Split | None = None


def scan_class_folders(root: Path) -> ClassFolders:
    """List a data folder without opening its images.

    Hidden files, files that aren't named like images, pipes, links to folders inside a class, and links to
    a folder that they lie in are left out. Links to files are followed; those that lead nowhere, or round
    in a circle, are listed, to be reported when they are read. Folders inside a class folder belong to the
    class, which may have no images at all. Raises DatasetError, saying what was found instead.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder" if not root.exists() else f"{root} is not a folder")
    if given := _find_subsets(root):
        subsets = {name: _scan_classes(folder) for name, folder in given.items()}
        labels = tuple(subsets["train"])
        for name, classes in subsets.items():
            if unknown := [label for label in classes if label not in subsets["train"]]:
                raise DatasetError(
                    f"{given[name]} has classes that {given['train']} lacks: {', '.join(unknown)}. "
                    "Add images of them to train on, or take their folders out"
                )
    else:
        subsets = {"all": _scan_classes(root)}
        labels = tuple(subsets["all"])
    if not any(paths for classes in subsets.values() for paths in classes.values()):
        raise DatasetError(_describe_empty(root))
    return ClassFolders(root, labels, subsets)


def labelled_images(data: Path, images: Path | None = None, moved: str = _MOVED) -> LabelledData:
    """Return images to measure accuracy on.

    `data` is a run of edge-train (its test split is used, or its validation split if it has none), a
    folder with test/ in it (that part is used), or a folder with one sub-folder a class. `images` is where a
    run's photos lie now; where they are not found, `moved` is the remedy. Raises DatasetError, and
    OptionError for `images` of what is no run.
    """
    if (data / FILE_NAME).is_file():
        return _run_images(data, images, moved)
    if images is not None:
        raise OptionError(
            f"--images says where the photos of a run are, and {data} is not a run of edge-train"
        )
    found = scan_class_folders(data)
    subset = next(name for name in ("test", "all", "validation", "train") if name in found.subsets)
    rows = [LabelledImage(p, label) for label, paths in found.subsets[subset].items() for p in paths]
    if not rows:
        raise DatasetError(f"{data}: its {subset} folder holds no images")
    name = data.resolve().name
    return LabelledData(rows, name if subset == "all" else f"{name} ({subset} folder)", data)


def _run_images(run: Path, images: Path | None, moved: str) -> LabelledData:
    split = Split.read(run)
    root = split.find_root(run, images, moved)
    subset = split.evaluation_subset
    rows = split.subset(subset, root)
    if not any(row.path.is_file() for row in rows):
        raise DatasetError(f"{root} holds none of the {len(rows)} {subset} images of {run}. {moved}")
    return LabelledData(rows, f"{run.resolve().name} ({subset} split)", root, split)


def is_text(name: str) -> bool:
    """Return whether a file's name is valid UTF-8: on Linux it may be any bytes."""
    return all(unicodedata.category(c) != "Cs" for c in name)


def _find_subsets(root: Path) -> dict[str, Path]:
    """Return the folders that are training, validation and test set; none where they are classes.

    Raises DatasetError where they are neither.
    """
    folders = _folders(root)
    named = [(_SUBSET_NAMES[f.name.lower()], f) for f in folders if f.name.lower() in _SUBSET_NAMES]
    given = dict(named)
    with_classes = [folder for _, folder in named if _folders(folder)]
    if "train" not in given or not with_classes or len(folders) > len(given) == 1:
        return {}
    for name, folder in named:
        if folder not in with_classes:
            raise DatasetError(f"{folder} must hold one sub-folder a class, as {with_classes[0]} does")
        if folder != given[name]:
            raise DatasetError(f"{folder} and {given[name]} are both for {name}: keep one of them")
    return dict(sorted(given.items()))


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
    """Return whether a link leads to a folder that it lies in: a class would hold all the others."""
    return folder.is_symlink() and folder.resolve() in folder.parent.resolve().joinpath("x").parents


def _images(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(root, name)
            # Reading a pipe would wait for ever; a link that leads nowhere is left to be reported.
            if is_image_name(path) and (path.is_file() or not path.exists()):
                yield path


def _raise(error: OSError) -> None:
    raise error


def _describe_empty(root: Path) -> str:
    loose = sum(1 for path in root.iterdir() if path.is_file() and is_image_name(path))
    found = f"{loose} images lie in it directly" if loose else "no images were found"
    return f"{root} must hold one sub-folder a class, with images in it: {found}"


def choose_sample(images: Sequence[LabelledImage], count: int, seed: int = 0) -> list[LabelledImage]:
    """Return `count` images, of each class its share, in the order in which they are given.

    Stratified by class: shares are rounded by the largest remainder, and a class gets at least one image
    where there is room for all classes. All are returned where there are no more than `count`. The same
    arguments give the same images. Raises OptionError for a count below 1.
    """
    if count < 1:
        raise OptionError(f"A sample needs at least one image. Received: {count}")
    if count >= len(images):
        return list(images)
    places: dict[str, list[int]] = {}
    for place, image in enumerate(images):
        places.setdefault(image.label, []).append(place)
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    for members, share in zip(places.values(), _shares([*map(len, places.values())], count), strict=True):
        chosen += (int(members[i]) for i in rng.permutation(len(members))[:share])
    return [images[place] for place in sorted(chosen)]


def _shares(sizes: Sequence[int], count: int) -> list[int]:
    """Divide `count`, below the sum of `sizes`, in their proportion: whole numbers, none above its size."""
    least = 1 if count >= len(sizes) else 0
    wanted = [max(size * count / sum(sizes), least) for size in sizes]
    shares = [int(share) for share in wanted]
    while (missing := count - sum(shares)) != 0:
        # By one at a time: the class furthest below what it wanted, or the one furthest above.
        step = 1 if missing > 0 else -1
        open_to = [i for i, n in enumerate(shares) if (n < sizes[i] if step > 0 else n > least)]
        shares[max(open_to, key=lambda i: step * (wanted[i] - shares[i]))] += step
    return shares
