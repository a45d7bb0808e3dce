"""The representative dataset: training images that show the converter the range of every activation."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.predict import read_pixels
from ..benchmarks.split import LabelledImage
from ..edge.card import Calibration, ModelCard
from ..edge.console import say
from ..edge.errors import ConversionError, ImageError


@dataclass(frozen=True)
class CalibrationSet:
    """`pixels` is uint8 [images, height, width, 3]; `info` is what the card records of it."""

    pixels: NDArray[np.uint8]
    info: Calibration


def choose_images(
    images: Sequence[LabelledImage], labels: Sequence[str], count: int, seed: int
) -> list[LabelledImage]:
    """Return up to `count` images, taking the classes in turn, so that each has about the same number."""
    rng = np.random.default_rng(seed)
    queues = []
    for label in labels:
        own = [image for image in images if image.label == label]
        queues.append([own[i] for i in rng.permutation(len(own))])
    turns = max((len(queue) for queue in queues), default=0)
    return [queue[turn] for turn in range(turns) for queue in queues if turn < len(queue)][:count]


def load_calibration(images: Sequence[LabelledImage], card: ModelCard) -> CalibrationSet:
    """Read the chosen images through the one preprocessing.

    The first image gets one pixel of 0 and one of 255, so that the input's quantization comes out at
    exactly scale 1 and zero point 0: pixels then go in as they are. Images that cannot be read are
    left out and named; raises ConversionError when none is left.
    """
    pixels, used = [], []
    for image in images:
        try:
            pixels.append(read_pixels(image, card.input, card.preprocess))
            used.append(image)
        except ImageError as error:
            say(f"left out of the calibration: {error}")
    if not pixels:
        raise ConversionError("None of the calibration images can be read: int8 cannot be calibrated")
    pixels[0][0, 0], pixels[0][0, 1] = 0, 255
    digest = hashlib.sha256(b"".join(array.tobytes() for array in pixels)).hexdigest()
    counts = Counter(image.label for image in used)
    info = Calibration(len(used), digest, {label: counts[label] for label in card.labels})
    return CalibrationSet(np.stack(pixels), info)
