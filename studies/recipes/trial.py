"""One training of a recipe on a set, converted, and run by the interpreter of devices."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from edge_classify.benchmarks.scoring.predict import true_indices
from edge_classify.benchmarks.scoring.split import Split
from edge_classify.convert.scoring import predict_files
from edge_classify.edge.modelfile import ModelFile
from numpy.typing import NDArray

from studies.measured_command import Cost, run_measured
from studies.recipes.held_out import StudyPhotos

_VARIANTS = ("float32", "int8")


@dataclass(frozen=True)
class Recipe:
    """A name, and the options of edge-train that it stands for."""

    name: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Trial:
    """The answers of a trained recipe to the photos that were held out, in the order of `paths`.

    `float32` and `int8` are probabilities at the file's temperature, float32 [photos, classes], and `truth`
    the true classes, int64 [photos]. `threshold` is that of the int8 file. `seconds` and `peak`, bytes, are
    those of the whole edge-train, from reading the photos to the report.
    """

    set_name: str
    recipe: str
    seed: int
    paths: tuple[str, ...]
    truth: NDArray[np.int64]
    float32: NDArray[np.float32]
    int8: NDArray[np.float32]
    threshold: float | None
    seconds: float
    peak: int

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which answers of the int8 file are right, bool [photos]."""
        return np.asarray(self.int8.argmax(1) == self.truth)

    @property
    def float_right(self) -> NDArray[np.bool_]:
        """Which answers of the float32 file are right, bool [photos]."""
        return np.asarray(self.float32.argmax(1) == self.truth)

    @property
    def log_loss(self) -> NDArray[np.float64]:
        """The log loss of the float32 file's answers, -ln p(true class), in nats, float64 [photos].

        Probabilities below 1/10,000 count as that, so that no single photo decides.
        """
        true = self.float32[np.arange(len(self.truth)), self.truth].astype(np.float64)
        return np.asarray(-np.log(np.clip(true, 1e-4, 1.0)))

    def line(self) -> str:
        """Return what a person wants to see as soon as the trial has ended."""
        return (
            f"{self.set_name} {self.recipe} seed {self.seed}: float32 {self.float_right.mean():.1%}, "
            f"int8 {self.right.mean():.1%} of {len(self.truth)}, {self.seconds:.0f} s"
        )

    def write(self, path: Path) -> None:
        """Write the trial whole, or not at all."""
        partial = path.with_suffix(".partial.npz")
        threshold = np.nan if self.threshold is None else self.threshold
        np.savez(partial, **{**self.__dict__, "paths": np.array(self.paths), "threshold": threshold})
        partial.rename(path)

    @classmethod
    def read(cls, path: Path) -> Trial:
        """Read what `write` has written."""
        with np.load(path, allow_pickle=False) as found:
            threshold = float(found["threshold"])
            return cls(
                str(found["set_name"]),
                str(found["recipe"]),
                int(found["seed"]),
                tuple(found["paths"].tolist()),
                found["truth"],
                found["float32"],
                found["int8"],
                None if np.isnan(threshold) else threshold,
                float(found["seconds"]),
                int(found["peak"]),
            )


def run_trial(photos: StudyPhotos, recipe: Recipe, model: str, seed: int, output: Path, fresh: bool) -> Trial:
    """Train, convert and run a recipe, unless its result is in `output` already.

    Raises ClickException when a command fails, or when the result is one of other options or photos.
    """
    place = output / f"{photos.folder.name}-{recipe.name}-{model}-{seed}"
    done, request = place.with_suffix(".npz"), place.with_suffix(".json")
    asked = {"options": list(recipe.options), "model": model, "photos": photos.folder.name, "fresh": fresh}
    if done.is_file():
        if json.loads(request.read_text(encoding="utf-8")) != asked:
            raise click.ClickException(f"{done} is the result of other options. Name the recipe otherwise")
        return Trial.read(done)
    run = place.with_name(f"{place.name}-run")
    command = [photos.folder, "-o", run, "--force", "--model", model, "--seed", seed, "--folds", 0]
    command += ["--cache", "none" if fresh else output / "cache", *recipe.options]
    seconds, peak = _call("edge-train", command)
    # A collapse of int8 is a result, not the end of the study: so it may lose everything.
    _call("edge-convert", [run, "-o", run / "tflite", "--force", *_variants(), "--max-drop", 100])
    trial = _answer(photos, recipe, model, seed, run, seconds, peak)
    request.write_text(json.dumps(asked) + "\n", encoding="utf-8")
    trial.write(done)
    return trial


def _variants() -> list[str]:
    return [part for variant in _VARIANTS for part in ("--variant", variant)]


def _answer(
    photos: StudyPhotos, recipe: Recipe, model: str, seed: int, run: Path, seconds: float, peak: int
) -> Trial:
    split = Split.read(run)
    images = split.subset("test", photos.folder)
    files = [(run / "tflite" / f"{model}_{variant}.tflite").read_bytes() for variant in _VARIANTS]
    found = predict_files(files, images, f"{photos.name} {recipe.name}")
    if found.skipped:
        raise click.ClickException(f"{found.skipped[0].path}: {found.skipped[0].reason}")
    card = ModelFile.read(files[1]).card
    assert card is not None  # edge-convert seals what it writes.
    return Trial(
        photos.name,
        recipe.name,
        seed,
        tuple(image.path.relative_to(photos.folder).as_posix() for image in found.images),
        true_indices(found.images, card.labels),
        found.probabilities[0],
        found.probabilities[1],
        card.output.threshold,
        seconds,
        peak,
    )


def _call(program: str, arguments: Sequence[object]) -> Cost:
    """Run a program of this package."""
    return run_measured([Path(sys.executable).with_name(program), *arguments])
