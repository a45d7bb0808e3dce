"""From the user's data to split examples, decoded for every model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.labelled import is_text, scan_class_folders
from ..benchmarks.split import SUBSETS, Split
from ..edge.card import Preprocess
from ..edge.console import say
from ..edge.errors import DatasetError
from .datasets import BUILT_IN, write_built_in
from .fitting import Examples
from .options import TrainOptions
from .output import IMAGES
from .pixels import choose_image_size, decode_images, typical_side
from .splitting import list_images, make_split
from .weights import build_base


@dataclass(frozen=True)
class PreparedData:
    """A split data set and its pixels by input size; `rows[subset]` index both pixels and `truth`."""

    name: str
    split: Split
    pixels: Mapping[int, NDArray[np.uint8]]
    rows: dict[str, NDArray[np.int64]]
    truth: NDArray[np.int64]

    def examples(self, subset: str, size: int) -> Examples:
        """Return the images of "train", "validation" or "test", decoded to `size`."""
        rows = self.rows[subset]
        return Examples(self.pixels[size], rows, self.truth[rows])


def prepare(
    data: str, staging: Path, scratch: Path, options: TrainOptions
) -> tuple[PreparedData, TrainOptions]:
    """Scan, decode and split `data`, and choose the input sizes that the options leave open.

    Built-in sets are written below `staging`; the pixels are kept in `scratch`. Raises DatasetError for
    data that cannot be used, WeightsError and OptionError when MobileNetV2 could not be built later.
    """
    root, name = _find_root(data, staging)
    found = scan_class_folders(root)
    images = list_images(found)
    paths = [path for path, _, _ in images]
    side = typical_side(paths)
    sizes = {m: options.image_size.get(m) or choose_image_size(m, side) for m in options.models}
    options = replace(options, image_size=sizes)
    if "mobilenet_v2" in sizes:  # Fail before the long work when the weights cannot be had.
        build_base(options.weights, sizes["mobilenet_v2"], options.alpha)
    decoded = decode_images(root, paths, set(sizes.values()), Preprocess(options.resize), scratch)
    for file in decoded.skipped:
        say(f"skipped {root / file.path}: {file.reason}")
    as_given = IMAGES if data in BUILT_IN else data
    fractions = options.validation_split, options.test_split
    split = make_split(found, images, decoded.sha256, decoded.skipped, as_given, fractions, options.seed)
    readable = np.flatnonzero([digest is not None for digest in decoded.sha256])
    subsets = np.array([image.subset for image in split.images])
    rows = {subset: readable[subsets == subset] for subset in SUBSETS}
    index = {label: i for i, label in enumerate(found.labels)}
    truth = np.array([index[label] for _, label, _ in images], np.int64)
    _describe(name, split)
    return PreparedData(name, split, decoded.pixels, rows, truth), options


def _find_root(data: str, staging: Path) -> tuple[Path, str]:
    """Return the folder of the images, and the data set's name."""
    if data in BUILT_IN:
        write_built_in(data, staging / IMAGES)
        return staging / IMAGES, data
    root, name = Path(data), Path(data).resolve().name
    if not is_text(f"{root}{name}"):
        raise DatasetError(f"The name of the folder {root} is not valid UTF-8. Rename it")
    return root, name


def _describe(name: str, split: Split) -> None:
    """Say what will be trained on, and what the measured accuracy will not tell."""
    counts = split.counts()
    parts = ", ".join(f"{sum(counts[subset].values()):,} {subset}" for subset in SUBSETS)
    say(f"{name}: {len(split.images):,} images in {len(split.labels)} classes ({parts})")
    measured = split.evaluation_subset
    if measured == "validation":
        say("No untouched test set exists: accuracy will be measured on the validation images")
    if absent := [label for label, count in counts[measured].items() if count == 0]:
        say(f"The {measured} images show nothing of {', '.join(absent)}: not measured on these")
