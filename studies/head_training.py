"""Usage: python studies/head_training.py --data FOLDER --per-class 200 --seeds 3

Claim: edge-train trains a new head in 13.6 s where the plain Keras loop takes 341 s, at the same accuracy.

Both train a dense layer on a frozen MobileNetV2 with ImageNet weights, on the same split of the same decoded
images, without augmentation, for the same number of epochs. The plain loop is that of tutorials:
`base.trainable = False` and `model.fit`, which runs the frozen network again in every epoch. edge-train runs
it once for each image, converted to TFLite; its time includes the conversion. Neither time includes decoding.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from math import comb
from pathlib import Path
from statistics import median

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
LEARNING_RATE = 1e-3


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of class folders, or of train/ with such.")  # fmt: skip
@click.option("--per-class", type=click.IntRange(4), default=325, show_default=True,
              help="Images to take of each class: 16 % for validation, 20 % for testing.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Runs of each.")
@click.option("--size", type=click.IntRange(32), default=224, show_default=True, help="Side of the input.")
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True, help="Epochs of both.")
@click.pass_context
def main(ctx: click.Context, data: Path | None, per_class: int, seeds: int, size: int, epochs: int) -> None:
    """Compare the two, in turn, and print a Markdown table."""
    if ctx.invoked_subcommand:
        return
    if data is None:
        raise click.UsageError("Missing option '--data'.")
    click.echo("| seed | plain loop | edge-train | ratio | plain top-1 | edge-train top-1 | p (McNemar) |")
    click.echo("|---|---|---|---|---|---|---|")
    ratios = []
    only: list[int] = [0, 0]
    with tempfile.TemporaryDirectory(prefix="head-training-") as scratch:
        for seed in range(seeds):
            folder = Path(scratch) / f"data-{seed}"
            choose_images(data, folder, per_class, seed)
            ours, our_seconds = edge_train(folder, Path(scratch) / f"run-{seed}", size, epochs, seed)
            plain, seconds = run_plain(Path(scratch) / f"run-{seed}", folder, size, epochs, seed)
            ratios.append(seconds / our_seconds)
            better, worse = int((ours & ~plain).sum()), int((plain & ~ours).sum())
            only[0], only[1] = only[0] + better, only[1] + worse
            click.echo(
                f"| {seed} | {seconds:.1f} s | {our_seconds:.1f} s | {ratios[-1]:.1f} | {plain.mean():.1%} | "
                f"{ours.mean():.1%} | {mcnemar(better, worse):.3f} |"
            )
    click.echo(f"| **median, all** | | | **{median(ratios):.1f}** | | | {mcnemar(*only):.3f} |")
    click.echo(f"\nRight in edge-train's only: {only[0]} images; in the plain loop's only: {only[1]}")


@main.command(hidden=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("size", type=int)
@click.argument("epochs", type=int)
@click.argument("seed", type=int)
def plain(run: Path, folder: Path, size: int, epochs: int, seed: int) -> None:
    """Train in the plain way on the split of `run`; print the seconds of fit, and which images are right."""
    import keras

    keras.utils.set_random_seed(seed)
    split = json.loads((run / "split.json").read_text(encoding="utf-8"))
    parts = {name: load(split, folder, name, size) for name in ("train", "test")}
    base = keras.applications.MobileNetV2(
        include_top=False, weights="imagenet", pooling="avg", input_shape=(size, size, 3)
    )
    base.trainable = False
    inputs = keras.Input((size, size, 3))
    x = base(keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs), training=False)
    x = keras.layers.Dropout(0.2)(x)
    outputs = keras.layers.Dense(len(split["labels"]), activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(LEARNING_RATE), "sparse_categorical_crossentropy")
    pixels, truth = parts["train"]
    started = time.monotonic()
    model.fit(pixels, truth, batch_size=32, epochs=epochs, verbose=0)
    seconds = time.monotonic() - started
    pixels, truth = parts["test"]
    right = model.predict(pixels, verbose=0).argmax(1) == truth
    print(json.dumps({"seconds": seconds, "right": right.tolist()}))  # noqa: T201


def choose_images(data: Path, folder: Path, per_class: int, seed: int) -> None:
    """Link a random choice of images into folder/<class>, the same for the same seed."""
    root = data / "train" if (data / "train").is_dir() else data
    for source in sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != "."):
        found = sorted(path for path in source.iterdir() if path.suffix.lower() in SUFFIXES)
        if len(found) < per_class:
            raise click.ClickException(f"{source} has {len(found)} images, and {per_class} are needed")
        (folder / source.name).mkdir(parents=True)
        for path in random.Random(seed).sample(found, per_class):
            (folder / source.name / path.name).symlink_to(path.resolve())


def edge_train(folder: Path, run: Path, size: int, epochs: int, seed: int) -> tuple[NDArray[np.bool_], float]:
    """Train by edge-train; return which test images are right, and the seconds of the training."""
    bin_folder = Path(sys.executable).parent
    options = ["--model", "mobilenet_v2", "--image-size", size, "--epochs", f"{epochs},0", "--seed", seed]
    options += ["--learning-rate", f"{LEARNING_RATE},0", "--views", 1, "--cache", "none"]
    options += ["--imbalance", "none", "--patience", epochs]
    call([bin_folder / "edge-train", folder, "--output", run, *options])
    metrics = json.loads((run / "mobilenet_v2" / "metrics.json").read_text(encoding="utf-8"))
    return np.array(predict(run, folder, size)), float(metrics["seconds"])


def predict(run: Path, folder: Path, size: int) -> list[bool]:
    """Return which test images the run's Keras model gets right."""
    return list(json.loads(call([sys.executable, __file__, "check", run, folder, size]))["right"])


@main.command(hidden=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("size", type=int)
def check(run: Path, folder: Path, size: int) -> None:
    """Print which test images the model of `run` gets right."""
    import keras

    split = json.loads((run / "split.json").read_text(encoding="utf-8"))
    pixels, truth = load(split, folder, "test", size)
    model = keras.models.load_model(run / "mobilenet_v2" / "model.keras", compile=False)
    right = model.predict(pixels, verbose=0).argmax(1) == truth
    print(json.dumps({"right": right.tolist()}))  # noqa: T201


def run_plain(run: Path, folder: Path, size: int, epochs: int, seed: int) -> tuple[NDArray[np.bool_], float]:
    """Train in the plain way in a child process."""
    result = json.loads(call([sys.executable, __file__, "plain", run, folder, size, epochs, seed]))
    return np.array(result["right"]), float(result["seconds"])


def load(
    split: dict[str, list[dict[str, str]]], folder: Path, subset: str, size: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the decoded images of a subset, 0..255, and their classes; the plain loop has no validation."""
    wanted = ("test",) if subset == "test" else ("train",)
    rows = [image for image in split["images"] if image["subset"] in wanted]
    labels = list(split["labels"])
    pixels = np.empty((len(rows), size, size, 3), np.float32)
    for target, row in zip(pixels, rows, strict=True):
        with Image.open(folder / row["path"]) as image:
            target[:] = np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
    return pixels, np.array([labels.index(row["label"]) for row in rows])  # type: ignore[arg-type]


def mcnemar(better: int, worse: int) -> float:
    """Return the exact two-sided p-value that as many images change for the worse as for the better."""
    n = better + worse
    tail: float = sum(comb(n, k) for k in range(min(better, worse) + 1)) / 2**n
    return min(1.0, 2 * tail)


def call(command: list[object]) -> str:
    """Run a command and return its stdout; raises ClickException when it fails."""
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if result.returncode:
        raise click.ClickException(f"{command}\nexit status {result.returncode}\n{result.stderr}")
    return result.stdout


if __name__ == "__main__":
    main()
