"""Usage: python studies/reduced_decode.py MODEL.tflite --photos FOLDER [--megapixels 12] [--count 1000]

Claim: decoding JPEGs at a reduced size changes answers about as often as one grey level of noise does.

Each photo is decoded in full and as edge-classify does, and the top-1 of both compared. For comparison, 40 %
of the input's values of the full decode are changed by one grey level up or down, as another decoder would
change them: where answers are nearly equal, that changes some too. With --megapixels the photos are first
enlarged (JPEG, quality 90).
"""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import numpy as np
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.cores import cores
from edge_classify.edge.image import input_cover, load_image, load_input, to_input
from edge_classify.edge.sources.paths import find_images
from PIL import Image

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


def noisy(pixels: Pixels) -> Pixels:
    """Return the input with 40 % of its values changed by one, the same ones in each run."""
    change = np.random.default_rng(0).choice([-1, 0, 1], pixels.shape, p=[0.2, 0.6, 0.2])
    return np.asarray((pixels + change).clip(0, 255), np.uint8)


@click.command(help=__doc__)
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.option("--photos", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--megapixels", type=float)
@click.option("--count", default=1000, show_default=True)
def main(model: Path, photos: Path, megapixels: float | None, count: int) -> None:
    """Compare, and print the shares that agree."""
    classifier = Classifier.from_file(model)
    spec, preprocess = classifier.spec, classifier.preprocess

    def inputs(path: Path) -> tuple[bool, Pixels, Pixels]:
        data = encoded(path, megapixels)
        full = load_image(data)
        was_reduced = load_image(data, input_cover(spec)).size != full.size
        return was_reduced, to_input(full, spec, preprocess), load_input(data, spec, preprocess)

    def answer(pixels: Pixels) -> int:
        return classifier.classify_pixels(pixels).best.index

    paths = find_images([photos], recursive=True)[:count]
    reduced = same = steady = 0
    distance = 0.0
    with ThreadPoolExecutor(cores()) as pool:
        for was_reduced, full, ours in pool.map(inputs, paths):
            expected = answer(full)
            reduced += was_reduced
            same += answer(ours) == expected
            steady += answer(noisy(full)) == expected
            distance += float(np.abs(full.astype(int) - ours).mean())
    total = len(paths)
    click.echo(
        f"{model.name}, {spec.width}x{spec.height}: {reduced} of {total} decoded reduced, inputs "
        f"{distance / total:.2f} grey levels apart, same answer {same / total:.1%} "
        f"(with one grey level of noise: {steady / total:.1%})"
    )


if __name__ == "__main__":
    main()
