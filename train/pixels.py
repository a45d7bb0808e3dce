"""Reads every image of a data set: its hash, its facts, and its pixels at the input sizes of all models.

A picture is decoded once, for all sizes, and the results are cached: a second run on the same files only
hashes them, and a run with some new files only decodes these.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..edge.card import InputSpec, Preprocess
from ..edge.cores import cores
from ..edge.errors import DatasetError, ImageError
from ..edge.image import to_input
from ..edge.image_file import open_image, require_known
from ..edge.labelled import is_text
from ..edge.printable import printable
from ..edge.progress import progress
from .backbones import BACKBONES
from .cache import ATTEMPTS, Cache
from .image_facts import ImageFacts, inspect_image
from .pixel_store import Donor, PixelStore

_PROBED = 200
_CHUNK = 16  # Files in a task: starting a task takes longer than reading a small file.

T = TypeVar("T")


@dataclass(frozen=True)
class DecodedImages:
    """The pixels and the facts of all paths, in their order.

    `pixels[size]` is uint8 [paths, size, size, 3], a read-only file on disk, with zeros for the files that
    cannot be used.
    """

    pixels: Mapping[int, NDArray[np.uint8]]
    facts: tuple[ImageFacts, ...]


def decode_images(
    root: Path, paths: Sequence[Path], sizes: set[int], preprocess: Preprocess, cache: Cache
) -> DecodedImages:
    """Read all `paths`, which lie under `root`; files whose bytes are in `cache` are not decoded again.

    Raises DatasetError if the disk has no room for the pixels, or a file changes while it is read;
    OptionError if the cache cannot be used.
    """
    files = _in_threads(lambda number: _hash_file(root, paths[number]), len(paths), "reading files")
    store = PixelStore(cache, [file.sha256 for file in files], preprocess)
    for _ in range(ATTEMPTS):
        facts, pixels = store.facts(), {size: store.pixels(size) for size in sorted(sizes)}
        whole = {size: array for size, array in pixels.items() if array is not None}
        if facts is not None and len(whole) == len(pixels):
            return DecodedImages(
                whole,
                tuple(replace(facts[f.sha256], path=f.path) if f.sha256 else f for f in files),
            )
        missing = [size for size in pixels if size not in whole]
        store.fill(missing, lambda arrays, donor: _decode(paths, files, preprocess, arrays, donor))
    return cache.fail()


def _hash_file(root: Path, path: Path) -> ImageFacts:
    """Return the name of the file with its hash, or with the reason why it cannot be read."""
    name = path.relative_to(root).as_posix()
    if not is_text(name):
        return ImageFacts(printable(name), None, "its name is not valid UTF-8")
    try:
        require_known(path)  # A film would not fit into memory. What the name says is no fact of the content.
        return ImageFacts(name, hashlib.sha256(path.read_bytes()).hexdigest(), None)
    except ImageError as error:
        return ImageFacts(name, None, str(error).removeprefix(str(path)).lstrip(": "))
    except OSError as error:
        return ImageFacts(name, None, str(error.strerror))


def _decode(
    paths: Sequence[Path],
    files: Sequence[ImageFacts],
    preprocess: Preprocess,
    arrays: Mapping[int, NDArray[np.uint8]],
    donor: Donor,
) -> list[ImageFacts]:
    """Fill row i of every array from file i, by a copy if `donor` has one; return the facts of all."""

    def decode(number: int) -> ImageFacts:
        file = files[number]
        if file.sha256 is None:
            return file
        if facts := donor.copy_row(file.sha256, number, arrays):
            return facts

        def resize(image: Image.Image) -> None:
            for size, target in arrays.items():
                target[number] = to_input(image, InputSpec(size, size, "uint8"), preprocess)

        raw = _read_again(paths[number], file.sha256)
        return inspect_image(raw, file.path, file.sha256, resize)

    return _in_threads(decode, len(files), "decoding images")


def _read_again(path: Path, sha256: str) -> bytes:
    """Return the bytes of the file, which must have the hash under which their pixels will be cached."""
    try:
        raw = path.read_bytes()
    except OSError:
        raw = b""
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise DatasetError(
            f"{path} changed while it was read. Start again when no program writes to the images"
        )
    return raw


def _in_threads(work: Callable[[int], T], count: int, description: str) -> list[T]:
    """Return work(0) to work(count - 1), computed on all processors, with a bar on a terminal."""

    def run(start: int) -> list[T]:
        return [work(number) for number in range(start, min(start + _CHUNK, count))]

    results: list[T] = []
    pool = ThreadPoolExecutor(cores())
    try:
        with progress(description, count, "images") as advance:
            for part in pool.map(run, range(0, count, _CHUNK)):
                results += part
                advance(len(part))
    finally:
        pool.shutdown(cancel_futures=True)
    return results


def typical_side(paths: Sequence[Path]) -> int:
    """Return the median of the shorter sides of a sample of the images, in pixels, from their headers."""
    sides = []
    for path in paths[:: max(1, len(paths) // _PROBED)]:
        try:
            with open_image(path) as image:
                sides.append(min(image.size))
        except ImageError:
            continue  # decode_images reports it.
    return int(statistics.median(sides)) if sides else 224


def choose_image_size(model: str, side: int, fast: bool = False) -> int:
    """Return the input size that suits photos whose shorter side is `side` pixels.

    The pretrained networks get the next larger size that MobileNetV2 has ImageNet weights for, or their own,
    if that is larger. The small CNN gets at most 128, which keeps the training on a processor affordable, or
    half as much if `fast`.
    """
    steps = [32, 48, 64, 96, 128] if model == "cnn" else [96, 128, 160, 192, 224]
    if model in BACKBONES and (own := max(BACKBONES[model].sizes)) > steps[-1]:
        steps.append(own)
    if fast and model == "cnn":
        steps = steps[:3]
    return next((step for step in steps if step >= side), steps[-1])
