"""The pictures for all peers: a user's photos, or generated pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from edge_classify.benchmarks.scoring.labelled import labelled_images
from edge_classify.edge.card import InputSpec, Preprocess
from edge_classify.edge.image import load_input
from numpy.typing import NDArray
from PIL import Image

from studies.peers.errors import PeerError

CALIBRATION = 100  # More pictures did not improve this model.
_GENERATED_SIZE = (500, 375)  # The size of most photos of ImageNet.
_MIN_PHOTOS = 20


@dataclass(frozen=True)
class Photos:
    """Pictures for the calibration of int8, and others to measure on, with the classes `truths`.

    `labels` are all class names in order; without labelled pictures both are empty.
    """

    calibration: tuple[Path, ...]
    measured: tuple[Path, ...]
    truths: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


def choose(folder: Path, count: int) -> Photos:
    """Choose pictures from all parts of a folder of class folders, or from the test images of a run.

    `count` are measured, or all if there are fewer; none of them is used for calibration. Raises
    DatasetError, and PeerError for fewer than 20 pictures.
    """
    images = labelled_images(folder).images
    if len(images) < _MIN_PHOTOS:
        raise PeerError(
            f"--photos must hold at least {_MIN_PHOTOS} pictures. Received: {folder} with {len(images)}"
        )
    every = max(2, len(images) // CALIBRATION)
    calibration = images[::every][:CALIBRATION]
    taken = {image.path for image in calibration}
    rest = [image for image in images if image.path not in taken]
    measured = [rest[i] for i in np.linspace(0, len(rest) - 1, min(count, len(rest))).astype(int)]
    return Photos(
        tuple(image.path for image in calibration),
        tuple(image.path for image in measured),
        tuple(image.label for image in measured),
        tuple(sorted({image.label for image in images})),
    )


def generate(folder: Path, count: int) -> Photos:
    """Write pictures that take as long to decode as photos: soft shapes with noise, 500x375, JPEG.

    They show no objects: the answers give the agreement between runtimes, but no accuracy.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04d}.jpg" for number in range(CALIBRATION + count)]
    for number, path in enumerate(paths):
        if not path.is_file():
            _picture(number).save(path, quality=90)
    return Photos(tuple(paths[:CALIBRATION]), tuple(paths[CALIBRATION:]))


def _picture(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize(_GENERATED_SIZE)
    pixels = np.asarray(coarse, np.float32) + rng.normal(0, 12, (*_GENERATED_SIZE[::-1], 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def write_pixels(photos: Sequence[Path], size: tuple[int, int], output: Path) -> None:
    """Write pictures as uint8 [pictures, height, width, 3] to a .npy file, prepared as edge-classify does.

    Raises ImageError for a picture that cannot be read.
    """
    spec, preprocess = InputSpec(size[1], size[0], "uint8"), Preprocess()
    np.save(output, np.stack([load_input(path, spec, preprocess) for path in photos]))


def true_indices(truths: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64] | None:
    """Return each picture's class as an index into `labels`; None where a class is not among them."""
    index = {label: number for number, label in enumerate(labels)}
    if not truths or not set(truths) <= set(index):
        return None
    return np.array([index[truth] for truth in truths], np.int64)
