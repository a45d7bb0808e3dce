"""Usage: python -m studies.aliasing PHOTOS [--size 224] [--count 200]

Claim: a resize filter without antialiasing differs from edge-classify's by sharpening, and by noise in
proportion to the local detail, which train/degradation.py therefore adds to training images.

Reduces each photo to `size` pixels in several ways and compares each with the antialiased filter. Prints,
by how many times the photos were reduced, medians of: the root mean square of the difference, in grey levels;
the multiple of the detail in it (sharpening; the detail is a pixel less the mean of the 3x3 around it); the
rest as a multiple of the detail around each pixel, by least squares; and how much of the rest the channels
do not share. For "as MediaPipe", which shifts the picture by up to half a pixel, the rest holds the shift.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import click
import cv2
import numpy as np
from edge_classify.edge.card import InputSpec, Preprocess
from edge_classify.edge.image import load_image, to_input
from edge_classify.edge.sources.paths import find_images
from numpy.typing import NDArray

from studies.resizing import FILTERS

RATIOS = (0.0, 1.3, 2.0, 4.0, 8.0, float("inf"))

Floats = NDArray[np.floating]


def mean_around(values: Floats) -> Floats:
    """Return the mean of the 3x3 pixels around each pixel."""
    return np.asarray(cv2.blur(values, (3, 3)), np.float32)


def compare(ours: Floats, theirs: Floats) -> tuple[float, float, float, float]:
    """Return difference, sharpening, noise and colour of the noise, as the usage says."""
    grey, difference = ours.mean(axis=2), theirs - ours
    detail = grey - mean_around(grey)
    shared = difference.mean(axis=2)
    sharpening = float((shared * detail).mean() / max((detail * detail).mean(), 1e-6))
    rest = shared - sharpening * detail
    around = mean_around(detail * detail)
    noise = float(np.sqrt((rest * rest * around).mean() / max((around * around).mean(), 1e-6)))
    colour = difference - shared[..., None]
    return (
        float(np.sqrt((difference**2).mean())),
        sharpening,
        noise,
        float(np.sqrt((colour**2).mean() / max((rest**2).mean(), 1e-6))),
    )


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--size", default=224, show_default=True)
@click.option("--count", default=200, show_default=True)
def main(photos: Path, size: int, count: int) -> None:
    """Print the table."""
    found: dict[tuple[str, float], list[tuple[float, float, float, float]]] = {}
    paths = find_images([photos], recursive=True)
    for path in paths[:: max(1, len(paths) // count)]:
        image = load_image(path)
        pixels = np.asarray(image)
        ours = to_input(image, InputSpec(size, size, "uint8"), Preprocess()).astype(np.float32)
        least = max(limit for limit in RATIOS if min(image.size) / size >= limit)
        for name, resize in FILTERS.items():
            values = compare(ours, resize(pixels, (size, size)).astype(np.float32))
            found.setdefault((name, least), []).append(values)
    click.echo("| resized by | times reduced | photos | difference | sharpening | noise | colour |")
    click.echo("|---" * 7 + "|")
    for name in FILTERS:
        for least, most in pairwise(RATIOS):
            if rows := found.get((name, least)):
                cells = [f"{value:.2f}" for value in np.median(rows, axis=0)]
                click.echo(f"| {name} | {least:g} to {most:g} | {len(rows)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
