"""A sample of labelled images, FOLDER/LABEL/*.jpg, of which every class gets its turn."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

from ..errors import DatasetError, SourceError
from ..sources.paths import find_images, natural_key

MAX_IMAGES = 200


@dataclass(frozen=True)
class LabelledImage:
    """An image file, and the name of the folder of its class."""

    path: Path
    label: str


def sample_images(folder: Path, limit: int = MAX_IMAGES) -> list[LabelledImage]:
    """Return up to `limit` images, in turn from all classes, of each spread evenly over its files.

    Raises DatasetError when there are none.
    """
    if not folder.is_dir():
        raise DatasetError(
            f"{folder}: no such folder" if not folder.exists() else f"{folder} is not a folder"
        )
    classes = sorted(
        (p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")), key=natural_key
    )
    share = -(-limit // max(1, len(classes)))
    rows = [_spread(label, share) for label in classes]
    turns = [image for image in chain.from_iterable(zip_longest(*rows)) if image is not None]
    if not turns:
        raise DatasetError(
            f"{folder} must hold one sub-folder a class, with images in it: no images were found"
        )
    return turns[:limit]


def _spread(folder: Path, count: int) -> list[LabelledImage]:
    try:
        paths = find_images([folder], recursive=True)
    except SourceError:  # An empty class.
        return []
    step = max(1, len(paths) // count)
    return [LabelledImage(path, folder.name) for path in paths[::step][:count]]
