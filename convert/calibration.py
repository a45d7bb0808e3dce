"""The representative dataset: training images that show the converter the range of every activation."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.predict import read_pixels
from ..benchmarks.split import LabelledImage, SkippedImage
from ..edge.card import Calibration, ModelCard
from ..edge.errors import ConversionError, ImageError


@dataclass(frozen=True)
class CalibrationSet:
    """`pixels` is uint8 [images, height, width, 3]; `info` is what the card records of it.

    `skipped` are the images that could not be read and were replaced by the next ones.
    """

    pixels: NDArray[np.uint8]
    info: Calibration
    skipped: list[SkippedImage]


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
    """Read the first `count` readable images through the one preprocessing.

    The first image gets one pixel of 0 and one of 255, so that the input's quantization comes out at
    exactly scale 1 and zero point 0: pixels then go in as they are. Raises ConversionError when none
    can be read.
    """
    pixels: list[NDArray[np.uint8]] = []
    used: list[LabelledImage] = []
    skipped: list[SkippedImage] = []
    for image in images:
        if len(used) == count:
            break
        try:
            pixels.append(read_pixels(image, card.input, card.preprocess))
            used.append(image)
        except ImageError as error:
            skipped.append(SkippedImage(str(image.path), str(error)))
    if not pixels:
        raise ConversionError(f"None of the {len(images)} training images can be read to calibrate int8 with")
    pixels[0][0, 0], pixels[0][0, 1] = 0, 255
    digest = hashlib.sha256(b"".join(array.tobytes() for array in pixels)).hexdigest()
    counts = Counter(image.label for image in used)
    info = Calibration(len(used), digest, {label: counts[label] for label in card.labels})
    return CalibrationSet(np.stack(pixels), info, skipped)
