"""Usage: python studies/imbalance.py --data FOLDER --small CLASS --images 14 --seeds 3 [-- TRAIN_OPTIONS]

Claim: the F1 of a class with 14 images among 1,886 of four others is 0.65 by default, and 0.11 with
--imbalance none (cats of CIFAR-10, one seed, -- --preset fast).

Makes a folder of five classes from FOLDER (class folders, or train/ and test/ with class folders), trains on
it by default and with --imbalance none, or by each --recipe, and prints a Markdown table. edge-train gets
TRAIN_OPTIONS each time. CIFAR-10 as such a folder: run/images of `edge-train cifar10 --output run`.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import mean

import click

# Counts of the large classes, in the order of --classes: 1,900 images with 14 of the small one.
LARGE = (480, 470, 470, 466)
TEST_IMAGES = 100
RECIPES: dict[str, tuple[str, ...]] = {
    "default": (),
    "plain": ("--imbalance", "none"),
    **{name: ("--imbalance", name) for name in ("balanced", "effective", "oversample")},
}
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Score:
    """The figures of one run on the test images; each a fraction of 1."""

    small_f1: float
    macro_f1: float
    accuracy: float


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of class folders, or of train/ and test/.")  # fmt: skip
@click.option("--small", required=True, metavar="CLASS", help="The class that has few images.")
@click.option("--classes", metavar="A,B,...", help="All five.  [default: the small one and the first others]")
@click.option("--images", type=click.IntRange(5), default=14, show_default=True,
              help="Training images of the small class.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Runs of each recipe.")
@click.option("--recipe", "recipes", multiple=True, type=click.Choice(list(RECIPES)),
              default=("default", "plain"), show_default=True,
              help="What is compared; may be repeated.")  # fmt: skip
@click.option("--model", default="mobilenet_v2", show_default=True, help="What edge-train --model is given.")
@click.argument("train_options", nargs=-1, type=click.UNPROCESSED)
def main(data: Path, small: str, classes: str | None, images: int, seeds: int,
         recipes: tuple[str, ...], model: str, train_options: tuple[str, ...]) -> None:  # fmt: skip
    """Compare recipes; TRAIN_OPTIONS after -- go to edge-train."""
    counts = class_counts(data, small, classes, images)
    click.echo(f"{data.name}: " + ", ".join(f"{label} {count}" for label, count in counts.items()))
    click.echo(f"\n| recipe | seed | F1 of {small} | macro F1 | accuracy |\n|---|---|---|---|---|")
    scores: dict[str, list[Score]] = {recipe: [] for recipe in recipes}
    with tempfile.TemporaryDirectory(prefix="imbalance-") as scratch:
        for seed in range(seeds):
            folder = Path(scratch) / f"data-{seed}"
            make_folder(data, folder, counts, seed)
            for recipe in recipes:
                output = Path(scratch) / f"{recipe}-{seed}"
                score = train(folder, output, model, (*RECIPES[recipe], *train_options), seed, small)
                scores[recipe].append(score)
                click.echo(_row(recipe, str(seed), score))
    for recipe, of_recipe in scores.items():
        click.echo(_row(f"**{recipe}**", "mean", mean_score(of_recipe)))


def class_counts(data: Path, small: str, classes: str | None, images: int) -> dict[str, int]:
    """Return the number of training images to take of each class; raises UsageError for an unknown class."""
    root = data / "train" if (data / "train").is_dir() else data
    found = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    others = [label for label in found if label != small][: len(LARGE)]
    chosen = classes.split(",") if classes is not None else [*others, small]
    if absent := [label for label in (*chosen, small) if label not in found]:
        raise click.UsageError(f"{root} has no class {absent[0]!r}. It has {', '.join(found)}.")
    if len(set(chosen)) != len(LARGE) + 1 or small not in chosen:
        raise click.UsageError(f"Five different classes are needed, {small!r} among them. Received: {chosen}")
    large = iter(LARGE)
    return {label: images if label == small else next(large) for label in chosen}


def make_folder(data: Path, folder: Path, counts: dict[str, int], seed: int) -> None:
    """Copy a random choice of images into folder/train and folder/test, the same for the same seed.

    Test images come from data/test where there is one. Raises ClickException when a class has too few.
    """
    divided = (data / "train").is_dir()
    for label, count in counts.items():
        if divided:
            subsets = {
                "train": _choose(data / "train" / label, count, seed),
                "test": _choose(data / "test" / label, TEST_IMAGES, seed),
            }
        else:
            chosen = _choose(data / label, count + TEST_IMAGES, seed)
            subsets = {"train": chosen[TEST_IMAGES:], "test": chosen[:TEST_IMAGES]}
        for subset, paths in subsets.items():
            target = folder / subset / label
            target.mkdir(parents=True)
            for path in paths:
                shutil.copyfile(path, target / path.name)


def train(folder: Path, output: Path, model: str, options: Sequence[str], seed: int, small: str) -> Score:
    """Run edge-train with `seed` and read its figures; raises ClickException when it fails."""
    command = [str(Path(sys.executable).with_name("edge-train")), str(folder), "--output", str(output)]
    command += ["--model", model, "--seed", str(seed), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise click.ClickException(f"{' '.join(command)}\nexit status {result.returncode}\n{result.stderr}")
    metrics = json.loads((output / model / "metrics.json").read_text(encoding="utf-8"))
    of_small = next(row for row in metrics["classes"] if row["label"] == small)
    return Score(of_small["f1"], metrics["macro_f1"], metrics["accuracy"])


def mean_score(scores: Sequence[Score]) -> Score:
    """Return the mean of each figure."""
    return Score(*(mean(values) for values in zip(*map(astuple, scores), strict=True)))


def _choose(folder: Path, count: int, seed: int) -> list[Path]:
    if not folder.is_dir():
        raise click.ClickException(f"{folder} is missing: every class needs a folder there")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if len(found) < count:
        raise click.ClickException(f"{folder} has {len(found)} images, and {count} are needed")
    return random.Random(seed).sample(found, count)


def _row(recipe: str, seed: str, score: Score) -> str:
    return f"| {recipe} | {seed} | {score.small_f1:.3f} | {score.macro_f1:.3f} | {score.accuracy:.3f} |"


if __name__ == "__main__":
    main()
