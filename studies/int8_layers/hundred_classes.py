"""Usage: python studies/int8_layers/hundred_classes.py IMAGENET-SAMPLE FOLDER

Makes a data set of 100 classes that look alike: 100 breeds of dogs, of each of which there is one photo, in a
folder named by its WordNet number. Answers between classes that look alike change by small errors, which
is where a loss adds up over many layers.

Of each photo 20 views are written for training and 15 for tests, no two alike: a random part of 35 to 90 % of
the photo's sides, turned by up to 15 degrees, mirrored at random, with other brightness, contrast and
colours, at times blurred, and saved as JPEG. That makes 2,000 training and 1,500 test images. What is
measured is how answers differ between a float model and its 8-bit form, not how well breeds are told apart:
training and test images show the same dogs. Train with `--duplicates exact`, since views of a photo are
near-duplicates. The same input gives the same images.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

# The breeds of dogs in ImageNet, by WordNet number.
_FIRST, _LAST = "n02085620", "n02113978"
_CLASSES = 100
_VIEWS = {"train": 20, "test": 15}
_SIDES = (0.35, 0.9)
_DEGREES = 15
_BLURRED = 0.25


@click.command(help=__doc__)
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("output", type=click.Path(file_okay=False, path_type=Path))
def main(photos: Path, output: Path) -> None:
    """Write the views as output/train/<class>/ and output/test/<class>/."""
    breeds = [folder for folder in sorted(photos.iterdir()) if _FIRST <= folder.name <= _LAST]
    if len(breeds) < _CLASSES:
        raise click.ClickException(f"{photos} has {len(breeds)} breeds of dogs, and not {_CLASSES}")
    rng = np.random.default_rng(0)
    for breed in breeds[:_CLASSES]:
        with Image.open(next(iter(sorted(breed.iterdir())))) as opened:
            photo = opened.convert("RGB")
        for subset, views in _VIEWS.items():
            folder = output / subset / breed.name
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(views):
                quality = int(rng.integers(60, 96))
                view_of(photo, rng).save(folder / f"{number:02d}.jpg", quality=quality)


def view_of(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a part of a photo, as another shot might show it."""
    turned = photo.rotate(rng.uniform(-_DEGREES, _DEGREES), Image.Resampling.BILINEAR)
    width, height = (round(side * rng.uniform(*_SIDES)) for side in photo.size)
    left, top = rng.integers(0, photo.width - width + 1), rng.integers(0, photo.height - height + 1)
    view = turned.crop((int(left), int(top), int(left) + width, int(top) + height))
    if rng.random() < 0.5:
        view = ImageOps.mirror(view)
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        view = change(view).enhance(rng.uniform(0.6, 1.4))
    if rng.random() < _BLURRED:
        view = view.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2)))
    return view


if __name__ == "__main__":
    main()
