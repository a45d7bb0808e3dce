"""Decodes every image of a data set once, to the input sizes of all models, into files on disk."""

from __future__ import annotations

import hashlib
import shutil
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..benchmarks.labelled import is_text
from ..benchmarks.predict import cores
from ..benchmarks.split import SkippedImage
from ..edge.card import InputSpec, Preprocess
from ..edge.console import printable
from ..edge.errors import DatasetError, ImageError
from ..edge.image import FORMATS, load_image, to_input
from ..edge.progress import progress

_PROBED = 200


@dataclass(frozen=True)
class DecodedImages:
    """`pixels[size]` is uint8 [paths, size, size, 3], a file on disk; `sha256[i]` None for skipped paths."""

    pixels: Mapping[int, NDArray[np.uint8]]
    sha256: list[str | None]
    skipped: list[SkippedImage]


def decode_images(
    root: Path, paths: Sequence[Path], sizes: set[int], preprocess: Preprocess, folder: Path
) -> DecodedImages:
    """Decode and resize all `paths`, keeping the pixels in `folder`; unreadable files are skipped.

    Raises DatasetError when the disk has no room for them.
    """
    _require_room(folder, sum(len(paths) * size * size * 3 for size in sizes))
    pixels = {
        size: np.lib.format.open_memmap(
            folder / f"{size}.npy", mode="w+", dtype=np.uint8, shape=(len(paths), size, size, 3)
        )
        for size in sorted(sizes)
    }

    def decode(number: int) -> str | SkippedImage:
        path = paths[number]
        name = path.relative_to(root).as_posix()
        if not is_text(name):
            return SkippedImage(printable(name), "its name is not valid UTF-8")
        try:
            raw = path.read_bytes()
            image = load_image(raw)
        except (ImageError, OSError) as error:
            reason = str(error) if isinstance(error, ImageError) else str(error.strerror)
            return SkippedImage(name, reason.removeprefix("image").lstrip(": "))
        for size, target in pixels.items():
            target[number] = to_input(image, InputSpec(size, size, "uint8"), preprocess)
        return hashlib.sha256(raw).hexdigest()

    hashes: list[str | None] = []
    skipped: list[SkippedImage] = []
    pool = ThreadPoolExecutor(cores())
    try:
        with progress("decoding images", len(paths), "images") as advance:
            for outcome in pool.map(decode, range(len(paths))):
                advance()
                if isinstance(outcome, SkippedImage):
                    skipped.append(outcome)
                hashes.append(None if isinstance(outcome, SkippedImage) else outcome)
    finally:
        pool.shutdown(cancel_futures=True)
    return DecodedImages(pixels, hashes, skipped)


def typical_side(paths: Sequence[Path]) -> int:
    """Return the median of the shorter sides of a sample of the images, in pixels, from their headers."""
    sides = []
    for path in paths[:: max(1, len(paths) // _PROBED)]:
        try:
            with Image.open(path, formats=FORMATS) as image:
                sides.append(min(image.size))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue  # decode_images reports it.
    return int(statistics.median(sides)) if sides else 224


def choose_image_size(model: str, side: int) -> int:
    """Return the input size that suits photos whose shorter side is `side` pixels.

    MobileNetV2 takes the next of the sizes that its ImageNet weights were trained at; the small CNN
    at most 128, which keeps its training affordable on a processor.
    """
    steps = (96, 128, 160, 192, 224) if model == "mobilenet_v2" else (32, 48, 64, 96, 128)
    return next((step for step in steps if step >= side), steps[-1])


def _require_room(folder: Path, needed: int) -> None:
    """A disk that fills up under a memory map would end the process without a word."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DatasetError(
            f"The decoded images take {needed / 1e9:.1f} GB for the time of the training, and the disk of "
            f"--output has {free / 1e9:.1f} GB left. Free some, or lower --image-size"
        )
