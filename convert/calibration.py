"""The calibration images: they show the quantizer the range of every activation."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.scoring.predict import read_pixels
from ..benchmarks.scoring.split import SkippedImage
from ..edge.card import Calibration, InputSpec, ModelCard, Preprocess
from ..edge.console import say
from ..edge.errors import ConversionError, DatasetError, ImageError, SourceError
from ..edge.labelled import LabelledImage, scan_class_folders
from ..edge.sources.paths import OtherFiles, find_images

# Ranges of fewer images are often too narrow; of more than 100 they hardly grow, if each class is shown.
_FEW = 50
_USUAL = 100
_OF_A_CLASS = 2
# In the card: names of folders that are no classes say more of their owner than the file needs.
NO_CLASS = "(no class)"


@dataclass(frozen=True)
class CalibrationSet:
    """The images that calibrate, and the card's record of them; `read` yields their pixels.

    `skipped` are the images that could not be read; the next ones replaced them. `warnings` are sentences on
    what may make the ranges wrong.
    """

    images: list[LabelledImage]
    input: InputSpec
    preprocess: Preprocess
    info: Calibration
    skipped: list[SkippedImage]
    warnings: tuple[str, ...] = ()

    def read(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the images as uint8 [height, width, 3], one at a time, so that any number fits into memory.

        The first image gets one pixel of 0 and one of 255, so that the input has exactly scale 1 and zero
        point 0: pixels then go in as they are. Raises ImageError when a file has changed since it was chosen.
        """
        for number, image in enumerate(self.images):
            yield _with_extremes(read_pixels(image, self.input, self.preprocess), number)


def usual_count(classes: int) -> int:
    """Return how many images calibrate a model unless the user says otherwise: 100, or two of each class."""
    return max(_USUAL, _OF_A_CLASS * classes)


def order_by_turns(images: Sequence[LabelledImage], labels: Sequence[str], seed: int) -> list[LabelledImage]:
    """Return the images shuffled, the classes in turn: any first part has about as many of each class."""
    rng = np.random.default_rng(seed)
    classes: dict[str, list[LabelledImage]] = {label: [] for label in labels}
    for image in images:
        if image.label in classes:
            classes[image.label].append(image)
    queues = [[own[i] for i in rng.permutation(len(own))] for own in classes.values()]
    turns = max((len(queue) for queue in queues), default=0)
    return [queue[turn] for turn in range(turns) for queue in queues if turn < len(queue)]


def folder_images(folder: Path) -> list[LabelledImage]:
    """Return the images of --calibration, at any depth, each labelled by its class folder, if there are such.

    Else the folder that it lies in is its label. Raises DatasetError when there are none.
    """
    if not folder.is_dir():
        reason = "is not a folder" if folder.exists() else "no such folder"
        raise DatasetError(f"--calibration {folder}: {reason}")
    try:
        paths = find_images([folder], recursive=True, others=(others := OtherFiles()))
    except SourceError as error:
        raise DatasetError(f"--calibration {error}") from None
    try:
        found = scan_class_folders(folder)
        classes = [pair for subset in found.subsets.values() for pair in subset.items()]
        labels, remarks = {path: label for label, own in classes for path in own}, found.remarks
    except DatasetError:  # They need no classes.
        labels, remarks = {}, tuple(filter(None, (others.remark(),)))
    for remark in remarks:
        say(f"--calibration: {remark}")
    return [LabelledImage(path, labels.get(path, path.parent.name)) for path in paths]


def load_calibration(
    images: Sequence[LabelledImage], count: int, card: ModelCard, source: str = "training images"
) -> CalibrationSet:
    """Choose the first `count` images that can be read and differ from each other, and hash their pixels.

    `source` names their origin. Raises ConversionError when none can be read.
    """
    used: list[LabelledImage] = []
    skipped: list[SkippedImage] = []
    seen: set[bytes] = set()
    digest = hashlib.sha256()
    copies = constant = 0
    for image in images:
        if len(used) == count:
            break
        try:
            pixels = read_pixels(image, card.input, card.preprocess)
        except ImageError as error:
            skipped.append(SkippedImage(str(image.path), str(error)))
            continue
        own = hashlib.sha256(pixels.tobytes()).digest()
        if own in seen:
            copies += 1
            continue
        seen.add(own)
        constant += bool((pixels == pixels[0, 0]).all())
        digest.update(_with_extremes(pixels, len(used)).tobytes())
        used.append(image)
    if not used:
        raise ConversionError(f"None of the {len(images)} {source} can be read to calibrate int8 with")
    # Images of --calibration may lie in folders that are no classes of the model.
    counts = Counter(image.label if image.label in card.labels else NO_CLASS for image in used)
    names = [*(card.labels if set(counts) != {NO_CLASS} else ()), *([NO_CLASS] if NO_CLASS in counts else [])]
    info = Calibration(len(used), digest.hexdigest(), {n: counts[n] for n in names}, source, copies)
    warnings = tuple(_warnings(info, count, constant, card))
    return CalibrationSet(used, card.input, card.preprocess, info, skipped, warnings)


def _warnings(info: Calibration, wanted: int, constant: int, card: ModelCard) -> Iterator[str]:
    if info.images < min(wanted, _FEW):
        yield (
            f"calibrated with only {info.images} different images: ranges may come out too narrow. Give at "
            f"least {_FEW}, with --calibration FOLDER"
        )
    if info.copies:
        yield f"{info.copies} calibration images are copies of others, and were left out"
    if constant:
        yield (
            f"{constant} of {info.images} calibration images have one colour only, and show no "
            "activations of real pictures"
        )
    missing = [label for label in card.labels if not info.per_class.get(label)]
    if not missing or len(missing) == len(card.labels):  # All: the folder's names are no classes.
        return
    if info.images >= len(card.labels):
        shown = ", ".join(missing[:5]) + (" and more" if len(missing) > 5 else "")
        yield f"no calibration image is of {len(missing)} classes: {shown}"
    else:
        yield (
            f"{info.images} calibration images cannot show all {len(card.labels)} classes: give more with "
            "--calibration-images"
        )


def _with_extremes(pixels: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    if number == 0:
        pixels = pixels.copy()
        pixels[0, 0], pixels[0, 1] = 0, 255
    return pixels
