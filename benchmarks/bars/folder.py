"""A folder of photos: edge-classify against the classic script, and against what the processor allows.

    python benchmarks/bars/folder.py FLOAT32.tflite INT8.tflite --photos FOLDER [--megapixels 12 --count 100]

The base decodes each photo in full with Pillow, resizes it, and runs FLOAT32 in an interpreter without
options, one photo after the other. edge-classify runs INT8 (and FLOAT32, for comparison) as a user does,
start-up included. Both are processes of their own and take turns; figures are medians. The bound is the
processor time of decoding and inference alone, in one thread, divided by the cores. With --megapixels the
photos are first enlarged to that size.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.cores import cores
from edge_classify.edge.sources.frames import FilePicture
from edge_classify.edge.sources.paths import find_images
from PIL import Image

BASE = """
import sys
import numpy as np
from PIL import Image
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter(sys.argv[1])
interpreter.allocate_tensors()
given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
_, height, width, _ = given["shape"]
for path in sys.stdin.read().splitlines():
    picture = Image.open(path).convert("RGB").resize((width, height))
    interpreter.set_tensor(given["index"], np.asarray(picture, given["dtype"])[None])
    interpreter.invoke()
    print(path, interpreter.get_tensor(result["index"])[0].argmax())
"""


def enlarge(photos: list[Path], megapixels: float, folder: Path) -> list[Path]:
    """Write each photo at that size, as a camera would: JPEG, quality 90."""
    written = []
    for number, path in enumerate(photos):
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        factor = (megapixels * 1e6 / (picture.width * picture.height)) ** 0.5
        size = round(picture.width * factor), round(picture.height * factor)
        written.append(folder / f"{number:05d}.jpg")
        picture.resize(size, Image.Resampling.BICUBIC).save(written[-1], quality=90)
    return written


def seconds(command: list[str], listing: str) -> float:
    """Return how long a command takes, which reads paths from stdin."""
    began = time.perf_counter()
    subprocess.run(command, input=listing, text=True, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def bound(model: Path, photos: list[Path]) -> float:
    """Return the processor seconds of decoding and inference in one thread, divided by the cores."""
    classifier = Classifier.from_file(model)
    classifier.classify(photos[0])
    began = time.process_time()
    for path in photos:
        classifier.classify_pixels(classifier.to_pixels(FilePicture(path)))
    return (time.process_time() - began) / cores()


@click.command(help=__doc__)
@click.argument("float32", type=click.Path(exists=True, path_type=Path))
@click.argument("int8", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--photos", type=click.Path(exists=True, path_type=Path), required=True, help="A folder of JPEGs."
)
@click.option("--megapixels", type=float, help="Enlarge them first.")
@click.option("--count", default=1000, show_default=True, help="How many photos.")
@click.option("--rounds", default=5, show_default=True)
def main(float32: Path, int8: Path, photos: Path, megapixels: float | None, count: int, rounds: int) -> None:
    """Measure, and print a line for each round and the medians."""
    with tempfile.TemporaryDirectory() as folder:
        paths = find_images([photos], recursive=True)[:count]
        if megapixels:
            paths = enlarge(paths, megapixels, Path(folder))
        measure(float32, int8, paths, rounds)


def measure(float32: Path, int8: Path, photos: list[Path], rounds: int) -> None:
    """Run everything in turn, and print."""
    listing = "".join(f"{path.resolve()}\n" for path in photos)
    program = str(Path(sys.executable).parent / "edge-classify")
    commands = {
        "base": [sys.executable, "-c", BASE, str(float32)],
        "int8": [program, "--model", str(int8), "--json", "-"],
        "float32": [program, "--model", str(float32), "--json", "-"],
    }
    taken: dict[str, list[float]] = {name: [] for name in (*commands, "bound")}
    for number in range(rounds):
        for name, command in commands.items():
            taken[name].append(seconds(command, listing))
        taken["bound"].append(bound(int8, photos))
        click.echo(
            f"round {number + 1}: "
            + ", ".join(f"{name} {values[-1]:.2f} s" for name, values in taken.items())
        )
    ratios = {
        name: [a / b for a, b in zip(taken["base"], taken[name], strict=True)] for name in ("int8", "float32")
    }
    shares = [a / b for a, b in zip(taken["bound"], taken["int8"], strict=True)]
    click.echo(f"{len(photos)} photos, {cores()} cores; medians of {rounds} rounds")
    click.echo(f"base: {statistics.median(taken['base']) / len(photos) * 1000:.2f} ms a photo")
    for name, values in ratios.items():
        cost = statistics.median(taken[name]) / len(photos) * 1000
        click.echo(
            f"edge-classify {name}: {cost:.2f} ms a photo, {statistics.median(values):.2f} times the base"
        )
    click.echo(f"share of the bound (int8): {statistics.median(shares):.1%}")


if __name__ == "__main__":
    main()
