"""Usage: python studies/mirroring.py [--folder FOLDER ...] [--sizes 60,150,all] [--repeats 5]

Claim: what edge-train measures before training tells images that may be mirrored from those that may not.
Drawn arrows, shoes and letters and handwritten digits are not mirrored; symmetric shapes are, and photos in
which nothing has a left and a right; and the measurement takes less than 5 % of the training's time.

Draws sets of pictures, takes scikit-learn's digits and each FOLDER (class folders, or train/ with class
folders), and prints a Markdown table: how often mirroring is found to keep the labels, to change them, or
neither is shown, in repeated draws of so many images; and the mean accuracies of the probe on images and on
their copies. The next columns say the same of rotation by 15 degrees, the last one the seconds of one
measurement. With --train FOLDER a line compares these with the seconds of edge-train.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import click
import numpy as np
from edge_classify.edge.image import load_image
from edge_classify.edge.labelled import scan_class_folders
from edge_classify.train.label_keeping import LabelKeeping, measure_label_keeping
from edge_classify.train.linear_probe import SIDE
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits

CHANGES = ("mirroring", "rotation")
ARROW = ((15, 42), (55, 42), (55, 25), (85, 50), (55, 75), (55, 58), (15, 58))
SHOE = ((40, 10), (60, 12), (68, 35), (60, 60), (62, 85), (50, 92), (38, 85), (40, 60), (34, 30))
SHAPES = (
    ((20, 20), (80, 20), (80, 80), (20, 80)),
    ((50, 10), (90, 90), (10, 90)),
    ((10, 10), (90, 10), (50, 90)),
    ((40, 5), (60, 5), (60, 95), (40, 95)),
    ((5, 40), (95, 40), (95, 60), (5, 60)),
    ((50, 5), (95, 50), (50, 95), (5, 50)),
)
EACH = 60  # Pictures of a drawn class.


class PhotoSet(NamedTuple):
    """A set of images, uint8 [n, SIDE, SIDE, 3], with classes int64 [n]."""

    name: str
    pixels: NDArray[np.uint8]
    truth: NDArray[np.int64]


@dataclass(frozen=True)
class Row:
    """The results of repeated draws of some images of a set."""

    name: str
    images: int
    results: Sequence[tuple[LabelKeeping, ...]]
    seconds: float

    def __str__(self) -> str:
        cells = [self.name, str(self.images)]
        for number in range(len(CHANGES)):
            of_change = [result[number] for result in self.results]
            counts = Counter(result.effect.value for result in of_change)
            before, after = (
                mean(getattr(result, field) for result in of_change)
                for field in ("accuracy", "accuracy_changed")
            )
            cells += [
                f"{before:.0%}, {after:.0%}",
                *(str(counts[e]) for e in ("keeps", "unknown", "changes")),
            ]
        return f"| {' | '.join([*cells, f'{self.seconds:.2f}'])} |"


def polygons(name: str, shapes: Sequence[Sequence[tuple[float, float]]]) -> PhotoSet:
    """Draw each polygon EACH times: shifted, turned a little, and coloured by chance, on noise."""
    pictures = []
    for label, points in enumerate(shapes):
        for number in range(EACH):
            rng = np.random.default_rng([label, number])
            picture = _ground(rng)
            x, y = rng.uniform(-8, 8, 2)
            ImageDraw.Draw(picture).polygon([(x + a, y + b) for a, b in points], fill=_light(rng))
            pictures.append(_finish(picture, rng))
    return _set(name, pictures, len(shapes))


def letters(name: str, text: str) -> PhotoSet:
    """Draw each letter EACH times in Pillow's own font."""
    pictures = []
    for label, letter in enumerate(text):
        for number in range(EACH):
            rng = np.random.default_rng([label, number, 1])
            picture, font = _ground(rng), ImageFont.load_default(size=float(rng.uniform(55, 80)))
            place = tuple(rng.uniform(42, 58, 2).tolist())
            ImageDraw.Draw(picture).text(place, letter, fill=_light(rng), font=font, anchor="mm")
            pictures.append(_finish(picture, rng))
    return _set(name, pictures, len(text))


def digits() -> PhotoSet:
    """Return scikit-learn's handwritten digits."""
    images, truth = load_digits(return_X_y=True)
    grey = np.rint(images * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    return PhotoSet(
        "digits", np.stack([_input(Image.fromarray(image)) for image in grey]), truth.astype(np.int64)
    )


def folder(root: Path) -> PhotoSet:
    """Return the images of class folders, or of those in train/."""
    found = scan_class_folders(root)
    classes = found.subsets.get("train") or found.subsets["all"]
    pixels, truth = [], []
    for label, name in enumerate(found.labels):
        for path in classes[name]:
            pixels.append(_input(load_image(path)))
            truth.append(label)
    return PhotoSet(root.name, np.stack(pixels), np.array(truth))


def mirrored(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return a polygon in a picture of 100 pixels, seen from behind."""
    return [(100 - x, y) for x, y in points]


def drawn_sets() -> Iterator[PhotoSet]:
    """Yield the sets that need no photos; the first six must not be mirrored, the others may be."""
    yield polygons("left and right arrows", (ARROW, mirrored(ARROW)))
    yield polygons("left and right shoes", (SHOE, mirrored(SHOE)))
    yield polygons("arrows among 6 shapes", (*SHAPES, ARROW, mirrored(ARROW)))
    yield letters("letters b d p q", "bdpq")
    yield letters("letters A to Z", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    yield digits()
    yield polygons("6 symmetric shapes", SHAPES)
    yield letters("symmetric letters", "AHIMOTUVWXY")
    either = polygons("", (ARROW, mirrored(ARROW), *SHAPES[:2]))
    yield either._replace(name="arrow of any side, 2 shapes", truth=np.maximum(either.truth - 1, 0))


def measure(photos: PhotoSet, images: int, repeats: int) -> Row:
    """Measure on random draws of so many images."""
    results, began = [], time.perf_counter()
    labels = [str(label) for label in range(int(photos.truth.max()) + 1)]
    for seed in range(repeats):
        rows = np.sort(np.random.default_rng(seed).permutation(len(photos.truth))[:images])
        groups = np.arange(len(rows))
        results.append(
            measure_label_keeping(CHANGES, photos.pixels, rows, photos.truth[rows], groups, labels, seed)
        )
    return Row(photos.name, images, results, (time.perf_counter() - began) / repeats)


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--folder", "folders", multiple=True, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option("--sizes", default="24,60,150,all", show_default=True, help="Numbers of images to draw.")
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option("--no-drawn", is_flag=True, help="Only the folders.")
@click.option("--train", "trained", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Compare the time with that of edge-train on this folder.")  # fmt: skip
@click.argument("train_options", nargs=-1, type=click.UNPROCESSED)
def main(folders: tuple[Path, ...], sizes: str, repeats: int, no_drawn: bool, trained: Path | None,
         train_options: tuple[str, ...]) -> None:  # fmt: skip
    """Print the table."""
    click.echo("| set | images | mirroring: images, copies | keeps | unknown | changes "
               "| rotation: images, copies | keeps | unknown | changes | s |")  # fmt: skip
    click.echo("|---" * 11 + "|")
    for photos in (*([] if no_drawn else drawn_sets()), *map(folder, folders)):
        total = len(photos.truth)
        for size in sizes.split(","):
            images = total if size == "all" else int(size)
            if size == "all" or images < total:
                click.echo(measure(photos, images, 1 if size == "all" else repeats))
    if trained:
        compare_times(trained, train_options)


def compare_times(data: Path, options: Sequence[str]) -> None:
    """Print the processor seconds of the measurement, and those of a whole edge-train.

    Other programs hardly change them. More images are measured than by edge-train, which measures training
    images only.
    """
    photos = folder(data)
    measure(photos, 2, 1)  # Loads the libraries.
    began = time.process_time()
    measure(photos, len(photos.truth), 1)
    measured = time.process_time() - began
    with tempfile.TemporaryDirectory() as scratch:
        program = str(Path(sys.executable).with_name("edge-train"))
        command = [program, str(data), "-o", f"{scratch}/run", "--cache", "none", *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    trained = used.ru_utime + used.ru_stime
    click.echo(f"{data.name}: {measured:.2f} s of processor time to measure {len(photos.truth)} images, "
               f"{trained:.1f} s for edge-train {' '.join(options)}: {measured / trained:.1%}")  # fmt: skip


def _ground(rng: np.random.Generator) -> Image.Image:
    return Image.fromarray(rng.integers(40, 110, (100, 100, 3)).astype(np.uint8))


def _light(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(value) for value in rng.integers(170, 256, 3))


def _finish(picture: Image.Image, rng: np.random.Generator) -> NDArray[np.uint8]:
    return _input(picture.rotate(rng.uniform(-10, 10)))


def _input(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _set(name: str, pictures: Sequence[NDArray[np.uint8]], classes: int) -> PhotoSet:
    return PhotoSet(name, np.stack(pictures), np.repeat(np.arange(classes), EACH))


if __name__ == "__main__":
    main()
