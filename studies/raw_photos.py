"""Usage: python studies/raw_photos.py enlarged FOLDER OUTPUT [--sizes 300,4000] [--each 0]
       python studies/raw_photos.py tiles FOLDER OUTPUT [--count 400] [--sizes 300,4000]

Makes photos of the sizes that cameras deliver, for studies/resizing.py, out of what is at hand.

`enlarged` takes labelled photos in class folders, which are usually small, and keeps the classes. Each gets a
longer side between both sizes, evenly over the logarithm. Enlarged pictures are smooth, and would hide what
a filter without antialiasing does. So each doubling adds detail: noise of the new octave, as strong as GAIN
times the picture's own finest octave at the same place, since in photos all octaves hold about equally much
(D. J. Field, J. Opt. Soc. Am. A 4, 1987). Then come what a camera adds: noise of light (NOISE grey levels at
middle grey), sharpening, and JPEG.

`tiles` cuts squares from camera photos at full resolution: real detail, real noise, no labels.
"""

from __future__ import annotations

import math
from pathlib import Path

import click
import cv2
import numpy as np
from edge_classify.edge.image import load_image
from edge_classify.edge.labelled import scan_class_folders
from edge_classify.edge.sources.paths import find_images
from numpy.typing import NDArray
from PIL import Image

GAIN = 0.5
NOISE = 2.5
_QUALITY = 92

Floats = NDArray[np.float32]


def enlarge(picture: Image.Image, side: int, rng: np.random.Generator) -> Image.Image:
    """Return the picture with a longer side of `side` pixels, as a camera would have taken it."""
    width, height = picture.size
    factor = side / max(width, height)
    pixels = np.asarray(picture, np.float32)
    if factor > 1:
        energy = _fine_energy(pixels)
        octaves = math.ceil(math.log2(factor))
        for octave in range(1, octaves + 1):
            part = 2**octave if octave < octaves else factor
            size = max(1, round(width * part)), max(1, round(height * part))
            pixels = _resized(pixels, size, cv2.INTER_LANCZOS4) + _detail(energy, size, rng)
    else:
        pixels = _resized(pixels, (round(width * factor), round(height * factor)), cv2.INTER_AREA)
    return _photographed(pixels, rng)


def _fine_energy(pixels: Floats) -> Floats:
    """Return the local strength of the finest octave of brightness, in grey levels [height, width]."""
    grey = pixels.mean(axis=2)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 1.0)
    return np.asarray(np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), 2.0)), np.float32)


def _detail(energy: Floats, size: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Return noise of the finest octave at `size`, GAIN times as strong as the picture's own, [h, w, 1]."""
    noise = cv2.GaussianBlur(rng.standard_normal((size[1], size[0]), np.float32), (0, 0), 0.6)
    band = noise - cv2.GaussianBlur(noise, (0, 0), 1.2)
    strength = GAIN / float(band.std()) * cv2.resize(energy, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(band * strength, np.float32)[..., None]


def _photographed(pixels: Floats, rng: np.random.Generator) -> Image.Image:
    """Add the noise of light, stronger where it is bright, and sharpen."""
    light = np.sqrt(np.clip(pixels, 8, 255) / 128)
    noisy = pixels + rng.standard_normal(pixels.shape, np.float32) * (NOISE * light)
    sharp = noisy + 0.5 * (noisy - cv2.GaussianBlur(noisy, (0, 0), 1.0))
    return Image.fromarray(np.clip(np.rint(sharp), 0, 255).astype(np.uint8))


def _resized(pixels: Floats, size: tuple[int, int], how: int) -> Floats:
    return np.asarray(cv2.resize(pixels, size, interpolation=how), np.float32)


def _log_uniform(rng: np.random.Generator, low: int, high: int) -> int:
    return round(float(low * (high / low) ** rng.random()))


def _parse(sizes: str) -> tuple[int, int]:
    low, high = map(int, sizes.split(","))
    return low, high


@click.group(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Make photos."""


_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@main.command()
@click.argument("folder", type=_FOLDER)
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--sizes", default="300,4000", show_default=True)
@click.option("--each", default=0, help="Photos of a class; 0: all.")
def enlarged(folder: Path, output: Path, sizes: str, each: int) -> None:
    """Enlarge labelled photos: FOLDER holds class folders, or test/ with class folders."""
    found = scan_class_folders(folder)
    classes = found.subsets.get("test") or found.subsets["all"]
    for label, paths in classes.items():
        (output / label).mkdir(parents=True)
        for number, path in enumerate(paths[: each or None]):
            rng = np.random.default_rng([number, len(label), *label.encode()])
            picture = enlarge(load_image(path), _log_uniform(rng, *_parse(sizes)), rng)
            picture.save(output / label / f"{path.stem}.jpg", quality=_QUALITY)


@main.command()
@click.argument("folder", type=_FOLDER)
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--sizes", default="300,4000", show_default=True)
@click.option("--count", default=400, show_default=True)
def tiles(folder: Path, output: Path, sizes: str, count: int) -> None:
    """Cut squares at full resolution, of sizes even over the logarithm, as far as the photo reaches."""
    paths = find_images([folder], recursive=True)
    output.mkdir(parents=True)
    for number, path in enumerate(paths):
        picture = load_image(path)
        rng = np.random.default_rng(number)
        for tile in range(number, count, len(paths)):
            side = min(_log_uniform(rng, *_parse(sizes)), *picture.size)
            left, upper = (int(rng.integers(length - side + 1)) for length in picture.size)
            part = picture.crop((left, upper, left + side, upper + side))
            part.save(output / f"{tile:04d}-{side}.jpg", quality=95)


if __name__ == "__main__":
    main()
