"""One run of edge-convert: trained models in, scored .tflite files out. Imported after TensorFlow."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.predict import (
    cores,
    file_loader,
    predict_images,
    read_pixels,
    top1_agreement,
    true_indices,
)
from ..benchmarks.split import FILE_NAME, LabelledImage, SkippedImage, Split
from ..benchmarks.statistics import measure
from ..edge.card import Accuracy, ConversionInfo, ModelCard
from ..edge.console import say
from ..edge.errors import CardError, ConversionError, DatasetError
from ..edge.files import refuse_to_overwrite, write_atomically
from ..edge.progress import progress
from .calibration import CalibrationSet, choose_images, load_calibration
from .converter import load_model, to_tflite, trace
from .recipes import Recipe
from .sealing import Golden, complete_card, seal

SUMMARY_NAME = "conversion.json"
_GOLDEN_EXAMPLES = 2
_KERAS_CHUNK = 256


@dataclass(frozen=True)
class Converted:
    """One file that was made; rates are fractions of 1, `keras_difference` is its top-1 minus Keras's."""

    file: str
    model: str
    variant: str
    size_bytes: int
    images: int
    top1: float
    top1_ci95: tuple[float, float]
    keras_top1: float
    keras_difference: float
    float_agreement: float
    convert_seconds: float


@dataclass(frozen=True)
class ModelFolder:
    """A trained model as edge-train writes it."""

    path: Path
    card: ModelCard

    @property
    def name(self) -> str:
        """The folder's name, which begins the names of the files made from it."""
        return self.path.name


def find_models(source: Path) -> tuple[Path, list[ModelFolder]]:
    """Return the run, and the models to convert: all of a run's, or the one whose folder was given.

    Raises ConversionError when `source` is neither, CardError when a card cannot be used.
    """
    if not source.is_dir():
        raise ConversionError(f"{source}: no such folder. Give a run of edge-train, or a model's folder in it")
    alone = (source / "model.keras").is_file()
    run = source.resolve().parent if alone else source
    folders = [source] if alone else sorted(path.parent for path in source.glob("*/model.keras"))
    if not folders:
        raise ConversionError(
            f"{source} is no run of edge-train: neither it nor a folder in it holds model.keras"
        )
    return run, [ModelFolder(folder, _read_card(folder)) for folder in folders]


def convert(
    source: Path, output: Path, recipes: Sequence[Recipe], calibration_images: int, data: Path | None, force: bool
) -> tuple[list[Converted], list[SkippedImage]]:
    """Convert every model found in `source` by every recipe, score the files, and write them to `output`.

    The files of a model are written when all of them were scored, with conversion.json beside them.
    Returns what was made and which images could not be read. Raises ConversionError, CardError,
    DatasetError, ImageError and OutputExistsError.
    """
    run, models = find_models(source)
    for name in [SUMMARY_NAME, *(f"{m.name}_{r.name}.tflite" for m in models for r in recipes)]:
        refuse_to_overwrite(output / name, force)
    split = Split.read(run)
    root = split.find_root(run, data)
    output.mkdir(parents=True, exist_ok=True)
    done: list[Converted] = []
    skipped: dict[str, SkippedImage] = {}
    for model in models:
        _check_split(model, split, run)
        made, unread = _convert_model(model, split, root, recipes, calibration_images, output)
        done += made
        skipped |= {file.path: file for file in unread}
        summary = {"source": source.name, "files": [asdict(item) for item in done]}
        write_atomically(output / SUMMARY_NAME, json.dumps(summary, indent=1) + "\n")
    return done, list(skipped.values())


def _convert_model(
    folder: ModelFolder, split: Split, root: Path, recipes: Sequence[Recipe], calibration_images: int, output: Path
) -> tuple[list[Converted], list[SkippedImage]]:
    card = folder.card
    model = load_model(folder.path / "model.keras", card)
    function = trace(model, card)
    calibration = _calibrate(split, root, card, calibration_images) if any(r.calibrated for r in recipes) else None
    flatbuffers, seconds, cards = [], [], []
    for recipe in recipes:
        say(f"{folder.name}: converting to {recipe.name}")
        started = time.monotonic()
        flatbuffers.append(to_tflite(function, recipe, calibration))
        seconds.append(time.monotonic() - started)
        completed = complete_card(flatbuffers[-1], card, recipe.io)
        cards.append(replace(completed, conversion=_provenance(recipe, calibration), accuracy=None))
    images = split.subset(split.evaluation_subset, root)
    with tempfile.TemporaryDirectory(dir=output, prefix=".scoring-") as scratch:
        paths = [Path(scratch, f"{recipe.name}.tflite") for recipe in recipes]
        for path, flatbuffer, provisional in zip(paths, flatbuffers, cards, strict=True):
            path.write_bytes(seal(flatbuffer, provisional))
        scored = predict_images([file_loader(path) for path in paths], images, f"scoring {folder.name}")
    for file in scored.skipped:
        say(f"skipped {file.reason}")
    if not scored.images:
        raise DatasetError(f"None of the {split.evaluation_subset} images under {root} can be read")
    reference = _keras_probabilities(model, scored.images, card, folder.name)
    truth = true_indices(scored.images, card.labels)
    keras_top1 = float((reference.argmax(1) == truth).mean())
    golden = _golden_rows(truth)
    made = []
    for recipe, flatbuffer, completed, probabilities, spent in zip(
        recipes, flatbuffers, cards, scored.probabilities, seconds, strict=True
    ):
        metrics = measure(probabilities, truth, card.labels)
        agreement = top1_agreement(probabilities, reference)
        accuracy = Accuracy(
            f"{split_name(card)} {split.evaluation_subset}", metrics.images, metrics.accuracy,
            metrics.accuracy_ci95, metrics.macro_f1, metrics.ece, agreement, metrics.accuracy - keras_top1,
        )  # fmt: skip
        examples = [
            Golden(read_pixels(scored.images[i], card.input, card.preprocess), probabilities[i], recipe.tolerance)
            for i in golden
        ]
        sealed = seal(flatbuffer, replace(completed, accuracy=accuracy), examples)
        name = f"{folder.name}_{recipe.name}.tflite"
        write_atomically(output / name, sealed)
        made.append(
            Converted(
                name, folder.name, recipe.name, len(sealed), metrics.images, metrics.accuracy,
                metrics.accuracy_ci95, keras_top1, metrics.accuracy - keras_top1, agreement, round(spent, 2),
            )
        )  # fmt: skip
    return made, scored.skipped


def _calibrate(split: Split, root: Path, card: ModelCard, count: int) -> CalibrationSet:
    seed = card.training.seed if card.training else 0
    chosen = choose_images(split.subset("train", root), split.labels, count, seed)
    return load_calibration(chosen, card)


def _provenance(recipe: Recipe, calibration: CalibrationSet | None) -> ConversionInfo:
    versions = {name: version(name) for name in ("edge-classify", "tensorflow", "ai-edge-litert")}
    info = calibration.info if calibration and recipe.calibrated else None
    return ConversionInfo(recipe.name, recipe.to_json(), info, versions)


def _keras_probabilities(
    model: Any, images: Sequence[LabelledImage], card: ModelCard, name: str
) -> NDArray[np.float32]:
    """Return what the Keras model gives for the same images, in chunks that fit into memory."""
    rows = []
    with ThreadPoolExecutor(cores()) as pool, progress(f"scoring {name} in Keras", len(images), "images") as advance:
        for start in range(0, len(images), _KERAS_CHUNK):
            chunk = images[start : start + _KERAS_CHUNK]
            pixels = np.stack(list(pool.map(lambda image: read_pixels(image, card.input, card.preprocess), chunk)))
            rows.append(np.asarray(model(pixels.astype(np.float32), training=False)))
            advance(len(chunk))
    return np.concatenate(rows)


def _golden_rows(truth: NDArray[np.int64]) -> list[int]:
    """Return the first image of each of the first classes that occur."""
    _, first = np.unique(truth, return_index=True)
    return [int(i) for i in first[:_GOLDEN_EXAMPLES]]


def _read_card(folder: Path) -> ModelCard:
    path = folder / "card.json"
    try:
        return ModelCard.from_json(path.read_bytes())
    except CardError as error:
        raise CardError(f"{path}: {error}") from None
    except OSError as error:
        raise CardError(f"{path} cannot be read ({error.strerror}): edge-train writes it") from None


def _check_split(model: ModelFolder, split: Split, run: Path) -> None:
    """A model of another run beside this split.json would be scored on its own training images."""
    if model.card.training is not None and model.card.training.split_sha256 != split.sha256:
        raise DatasetError(
            f"{model.path} was not trained on the split in {run / FILE_NAME}: their checksums differ"
        )


def split_name(card: ModelCard) -> str:
    """Return the name of the data set that the card's model was trained on."""
    return card.training.dataset if card.training else "unnamed"
