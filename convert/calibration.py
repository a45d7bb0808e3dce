"""The representative dataset: training images that show the converter the range of every activation."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.predict import read_pixels
from ..benchmarks.split import LabelledImage, SkippedImage
from ..edge.card import Calibration, InputSpec, ModelCard, Preprocess
from ..edge.errors import ConversionError, ImageError


@dataclass(frozen=True)
class CalibrationSet:
    """Which images calibrate, and what the card records of them; `read` gives their pixels.

    `skipped` are the images that could not be read and were replaced by the next ones.
    """

    images: list[LabelledImage]
    input: InputSpec
    preprocess: Preprocess
    info: Calibration
    skipped: list[SkippedImage]

    def read(self) -> Iterator[NDArray[np.uint8]]:
        """Yield each image as uint8 [height, width, 3]: one at a time, so that any number fits into memory.

        The first has one pixel of 0 and one of 255, so that the input's quantization comes out at
        exactly scale 1 and zero point 0: pixels then go in as they are. Raises ImageError when a file
        has changed since it was chosen.
        """
        for number, image in enumerate(self.images):
            yield _with_extremes(read_pixels(image, self.input, self.preprocess), number)


def order_by_turns(images: Sequence[LabelledImage], labels: Sequence[str], seed: int) -> list[LabelledImage]:
    """Return the images shuffled, the classes in turn, so that any first part has about as many of each."""
    rng = np.random.default_rng(seed)
    queues = []
    for label in labels:
        own = [image for image in images if image.label == label]
        queues.append([own[i] for i in rng.permutation(len(own))])
    turns = max((len(queue) for queue in queues), default=0)
    return [queue[turn] for turn in range(turns) for queue in queues if turn < len(queue)]


def load_calibration(images: Sequence[LabelledImage], count: int, card: ModelCard) -> CalibrationSet:
    """Choose the first `count` readable images, and hash their pixels.

    Raises ConversionError when none can be read.
    """
    used: list[LabelledImage] = []
    skipped: list[SkippedImage] = []
    digest = hashlib.sha256()
    for image in images:
        if len(used) == count:
            break
        try:
            pixels = read_pixels(image, card.input, card.preprocess)
        except ImageError as error:
            skipped.append(SkippedImage(str(image.path), str(error)))
            continue
        digest.update(_with_extremes(pixels, len(used)).tobytes())
        used.append(image)
    if not used:
        raise ConversionError(f"None of the {len(images)} training images can be read to calibrate int8 with")
    counts = Counter(image.label for image in used)
    info = Calibration(len(used), digest.hexdigest(), {label: counts[label] for label in card.labels})
    return CalibrationSet(used, card.input, card.preprocess, info, skipped)


def _with_extremes(pixels: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    if number == 0:
        pixels = pixels.copy()
        pixels[0, 0], pixels[0, 1] = 0, 255
    return pixels
