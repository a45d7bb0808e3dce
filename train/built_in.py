"""The built-in data sets, written as class folders, so that no later stage needs their loaders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..convert.download import DownloadFailure, download_shown
from ..convert.quiet import import_tensorflow
from ..edge.errors import DatasetError, MissingPackageError
from ..edge.extras import pip_install
from ..edge.progress import progress

BUILT_IN = ("digits", "cifar10")
BUILT_IN_PREFIX = "built-in:"  # On the command line, where a folder of the same name exists.
CIFAR10_LABELS = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

LabelledPixels = tuple[str, Any]  # Path below the root, and uint8 pixels, grey or RGB.


def write_built_in(name: str, root: Path) -> None:
    """Write the data set `name` below `root` as PNG files in class folders.

    Raises DatasetError when a necessary download fails.
    """
    pictures = {"digits": _digits, "cifar10": _cifar10}[name]()
    with progress(f"writing {name}", len(pictures), "images") as advance:
        for path, pixels in pictures:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / path)
            advance()


def _digits() -> list[LabelledPixels]:
    """1,797 handwritten digits, 8x8 pixels of 0..16: UCI's optical recognition test set."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise MissingPackageError("scikit-learn", "The data set digits", pip_install("train")) from None
    data = load_digits()
    images = np.round(data.images * (255 / 16)).astype(np.uint8)
    return list(_numbered("", images, [str(label) for label in data.target]))


def _cifar10() -> list[LabelledPixels]:
    """60,000 photos of 32x32 pixels in 10 classes, downloaded by Keras; its test set stays the test set."""
    _, keras = import_tensorflow("The data set cifar10", "train")
    try:
        with download_shown("CIFAR-10 (170 MB)"):
            train, test = keras.datasets.cifar10.load_data()
    except Exception as error:  # Keras raises a bare Exception when a download fails.
        reason = DownloadFailure.of(error) or error
        raise DatasetError(
            f"CIFAR-10 cannot be downloaded ({reason}). Check the network, or train on a folder of your own "
            "images, or on digits, which needs no network"
        ) from error
    pictures: list[LabelledPixels] = []
    for subset, (images, indices) in (("train/", train), ("test/", test)):
        pictures += _numbered(subset, images, [CIFAR10_LABELS[int(i)] for i in indices.ravel()])
    return pictures


def _numbered(prefix: str, images: Any, labels: list[str]) -> Iterator[LabelledPixels]:
    for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        yield f"{prefix}{label}/{number:05d}.png", pixels
