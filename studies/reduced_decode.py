"""Usage: python studies/reduced_decode.py MODEL.tflite ... --photos FOLDER [--megapixels 12 | --crops 28]
       [--count 1000]

Claim: decoding JPEGs at a reduced size changes top-1 on no more photos than one grey level of noise does, and
half a point.

Each photo is decoded in full and as edge-classify does, and the top-1 of both compared. For comparison, 40 %
of the input's values of the full decode are changed by one grey level up or down, as another decoder would
change them: where answers are nearly equal, that changes some too. With --megapixels the photos are first
enlarged (JPEG, quality 90). With --crops, N parts of each photo at half its size, 320 to 1,280 columns wide,
stand for photos of many sizes that are sharp to the pixel. Exit status 1 where the claim does not hold.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.cores import cores
from edge_classify.edge.image import input_cover, load_image, load_input, to_input
from edge_classify.edge.sources.paths import find_images
from PIL import Image, ImageOps

ALLOWED = 0.005  # The share of photos that may change their answer more than by noise.
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def encoded(path: Path, megapixels: float | None) -> bytes:
    """Return a photo's bytes, or those of an enlarged copy."""
    if megapixels is None:
        return path.read_bytes()
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    factor = (megapixels * 1e6 / (picture.width * picture.height)) ** 0.5
    size = round(picture.width * factor), round(picture.height * factor)
    buffer = io.BytesIO()
    picture.resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def crops(path: Path, count: int) -> list[bytes]:
    """Return parts of a photo at half its size, 4 to 3, the same ones in each run."""
    random = np.random.default_rng(int.from_bytes(path.name.encode(), "big") % 2**32)
    with Image.open(path) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB").reduce(2)
    found = []
    for _ in range(count):
        width = min(round(320 * 4 ** random.random()), picture.width, picture.height * 4 // 3)
        height = width * 3 // 4
        left = int(random.integers(picture.width - width + 1))
        upper = int(random.integers(picture.height - height + 1))
        buffer = io.BytesIO()
        picture.crop((left, upper, left + width, upper + height)).save(buffer, "JPEG", quality=90)
        found.append(buffer.getvalue())
    return found


def noisy(pixels: Pixels) -> Pixels:
    """Return the input with 40 % of its values changed by one, the same ones in each run."""
    change = np.random.default_rng(0).choice([-1, 0, 1], pixels.shape, p=[0.2, 0.6, 0.2])
    return np.asarray((pixels + change).clip(0, 255), np.uint8)


@dataclass(frozen=True)
class Counts:
    """Of `photos`: those decoded reduced; those whose top-1 stays, so and with noise; grey levels apart."""

    photos: int
    reduced: int
    same: int
    same_with_noise: int
    distance: float

    @property
    def holds(self) -> bool:
        """Whether the claim holds."""
        return (self.same_with_noise - self.same) / self.photos <= ALLOWED


def compare(classifier: Classifier, photos: Sequence[Callable[[], bytes]]) -> Counts:
    """Classify each photo from its full decode, from the reduced one, and with noise."""
    spec, preprocess = classifier.spec, classifier.preprocess

    def inputs(photo: Callable[[], bytes]) -> tuple[bool, Pixels, Pixels]:
        data = photo()
        full = load_image(data)
        was_reduced = load_image(data, input_cover(spec)).size != full.size
        return was_reduced, to_input(full, spec, preprocess), load_input(data, spec, preprocess)

    def answer(pixels: Pixels) -> int:
        return classifier.classify_pixels(pixels).best.index

    reduced = same = steady = 0
    distance = 0.0
    with ThreadPoolExecutor(cores()) as pool:
        for was_reduced, full, ours in pool.map(inputs, photos):
            expected = answer(full)
            reduced += was_reduced
            same += answer(ours) == expected
            steady += answer(noisy(full)) == expected
            distance += float(np.abs(full.astype(int) - ours).mean())
    return Counts(len(photos), reduced, same, steady, distance / len(photos))


@click.command(help=__doc__)
@click.argument("models", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--photos", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--megapixels", type=float)
@click.option("--crops", "parts", type=click.IntRange(1))
@click.option("--count", default=1000, show_default=True)
def main(
    models: tuple[Path, ...], photos: Path, megapixels: float | None, parts: int | None, count: int
) -> None:
    """Compare, and print the shares that agree, a line for each model."""
    paths = find_images([photos], recursive=True)
    if parts is None:
        made = [partial(encoded, path, megapixels) for path in paths[:count]]
    else:
        made = [partial(bytes, part) for path in paths for part in crops(path, parts)][:count]
    failed = False
    for model in models:
        classifier = Classifier.from_file(model)
        found = compare(classifier, made)
        failed |= not found.holds
        click.echo(
            f"{model.name}, {classifier.spec.width}x{classifier.spec.height}: {found.reduced} of "
            f"{found.photos} decoded reduced, inputs {found.distance:.2f} grey levels apart, same answer "
            f"{found.same / found.photos:.1%} (with one grey level of noise: "
            f"{found.same_with_noise / found.photos:.1%}){'' if found.holds else ': the claim does not hold'}"
        )
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
