"""Labelled images to measure on: of a data folder or a run of edge-train, and samples of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...edge.console import say
from ...edge.errors import DatasetError, OptionError
from ...edge.image_labels.source import CLASS_FOLDERS, LabelSource, scan_labelled
from ...edge.labelled import LabelledImage
from .split import FILE_NAME, Split

# Not "name their folder with --data": that would measure on the training images too.
_MOVED = "Say where they are with --images FOLDER"
_LEAVE = "leave --image-labels and --labels-from-names out"


class LabelledData(NamedTuple):
    """Labelled images, their name in results, and the folder to which paths in results are relative.

    `split` is that of the run, if the images are from a run. `validation` are its validation images, where
    `images` are its test images: files are chosen by these.
    """

    images: list[LabelledImage]
    name: str
    root: Path
    split: Split | None = None
    validation: tuple[LabelledImage, ...] = ()


def labelled_images(
    data: Path, images: Path | None = None, moved: str = _MOVED, source: LabelSource = CLASS_FOLDERS
) -> LabelledData:
    """Return images to measure accuracy on.

    `data` is a run of edge-train (its test split is used, or its validation split if it has none), or a
    folder of images whose classes `source` names; if it has test images, these are used. `images` is the
    folder of the photos of a run, if they have moved; `moved` is the remedy in the error if they are not
    found. Raises DatasetError, and OptionError for `images` without a run, or another `source` with one.
    """
    if (data / FILE_NAME).is_file():
        if not source.is_folders:
            raise OptionError(
                f"{data} is a run of edge-train, which says itself what its images are: {_LEAVE}"
            )
        return _run_images(data, images, moved)
    if images is not None:
        raise OptionError(
            f"--images says where the photos of a run are, and {data} is not a run of edge-train"
        )
    found = scan_labelled(data, source)
    for remark in found.remarks:
        say(remark)
    subset = found.evaluation_subset
    rows = found.images(subset)
    name, part = data.resolve().name, "images" if found.named_by else "folder"
    return LabelledData(rows, name if subset == "all" else f"{name} ({subset} {part})", data)


def _run_images(run: Path, images: Path | None, moved: str) -> LabelledData:
    split = Split.read(run)
    root = split.find_root(run, images, moved)
    subset = split.evaluation_subset
    rows = split.subset(subset, root)
    if not any(row.path.is_file() for row in rows):
        raise DatasetError(f"{root} holds none of the {len(rows)} {subset} images of {run}. {moved}")
    others = split.subset("validation", root) if subset == "test" else []
    validation = tuple(image for image in others if image.path.is_file())
    return LabelledData(rows, f"{run.resolve().name} ({subset} split)", root, split, validation)


def choose_sample(images: Sequence[LabelledImage], count: int, seed: int = 0) -> list[LabelledImage]:
    """Return a sample of `count` images, stratified by class, in the given order.

    Shares are rounded by the largest remainder, and each class gets at least one image if `count` allows it.
    All images are returned if there are no more than `count`. The same arguments give the same images. Raises
    OptionError for a count below 1.
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
    """Divide `count`, below the sum of `sizes`, in proportion to them, into whole numbers up to each size."""
    least = 1 if count >= len(sizes) else 0
    wanted = [max(size * count / sum(sizes), least) for size in sizes]
    shares = [int(share) for share in wanted]
    while (missing := count - sum(shares)) != 0:
        # One image at a time, for the class that is furthest from its exact share.
        step = 1 if missing > 0 else -1
        open_to = [i for i, n in enumerate(shares) if (n < sizes[i] if step > 0 else n > least)]
        shares[max(open_to, key=lambda i: step * (wanted[i] - shares[i]))] += step
    return shares
