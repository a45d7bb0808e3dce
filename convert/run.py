"""One run of edge-convert: trained models in, scored .tflite files out. Imported after TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..benchmarks.split import LabelledImage, SkippedImage, Split
from ..edge.console import say
from ..edge.errors import DatasetError, OutputExistsError
from ..edge.files import refuse_to_overwrite, require_writable, write_atomically
from .calibration import CalibrationSet, load_calibration, order_by_turns
from .candidate import Candidate, CandidateMaker
from .confidence import refit_confidence
from .converter import load_model
from .inputs import MODEL_NAME, ModelFolder, check_split, find_models
from .recipes import Recipe
from .scoring import Scores, score
from .sealing import seal

SUMMARY_NAME = "conversion.json"


@dataclass(frozen=True)
class Converted:
    """One file that was made; rates are fractions of 1, `keras_difference` is its top-1 minus Keras's.

    `ece` is the expected calibration error. `coverage` and `selective_accuracy` are the share of images
    answered at `threshold`, and of these the share that is right; see edge/card.py.
    """

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
    ece: float
    ece_uncalibrated: float | None
    temperature: float
    threshold: float | None
    threshold_precision: float | None
    coverage: float | None
    selective_accuracy: float | None
    convert_seconds: float


@dataclass(frozen=True)
class _Images:
    """The run's images by their use; `training` has the classes in turn."""

    training: list[LabelledImage]
    validation: list[LabelledImage]
    evaluation: list[LabelledImage]
    evaluation_subset: str


def convert(
    source: Path,
    output: Path,
    recipes: Sequence[Recipe],
    calibration_images: int,
    data: Path | None,
    force: bool,
) -> tuple[list[Converted], list[SkippedImage]]:
    """Convert every model found in `source` by every recipe, score the files, and write them to `output`.

    The files of a model are written when all of them were scored, with conversion.json beside them.
    Returns what was made and which images could not be read. Raises ConversionError, CardError,
    DatasetError and OutputExistsError.
    """
    run, models = find_models(source)
    split = Split.read(run)
    for model in models:
        check_split(model, split, run)
    images = _find_images(split, run, data)
    names = [_file_name(model, recipe) for model in models for recipe in recipes]
    done: list[Converted] = []
    skipped: dict[str, SkippedImage] = {}
    with _folder_unless_it_stays_empty(output):
        earlier = _check_output(output, names, force)
        for model in models:
            made, unread = _convert_model(model, recipes, calibration_images, images, output)
            done += made
            skipped |= {file.path: file for file in unread}
            summary = {
                "source": source.resolve().name,
                "files": [*earlier, *(asdict(item) for item in done)],
            }
            write_atomically(output / SUMMARY_NAME, json.dumps(summary, indent=1) + "\n")
    for file in skipped.values():
        say(f"skipped {file.reason}")
    return done, list(skipped.values())


def _find_images(split: Split, run: Path, data: Path | None) -> _Images:
    root = split.find_root(run, data, "Say where they are with --data DIR")
    subset = split.evaluation_subset
    images = _Images(
        split.subset("train", root), split.subset("validation", root), split.subset(subset, root), subset
    )
    if not any(image.path.is_file() for image in images.evaluation):
        raise DatasetError(f"{root} holds none of the {len(images.evaluation)} {subset} images of {run}")
    return images


def _convert_model(
    folder: ModelFolder,
    recipes: Sequence[Recipe],
    calibration_images: int,
    images: _Images,
    output: Path,
) -> tuple[list[Converted], list[SkippedImage]]:
    """Make, fit, score and write the files of one model; also return the images that cannot be read."""
    model = load_model(folder.path / MODEL_NAME, folder.card)
    calibration = _calibration(folder, images.training, calibration_images, recipes)
    maker = CandidateMaker(model, folder.card, calibration)
    first = []
    for recipe in recipes:
        say(f"{folder.name}: converting to {recipe.name}")
        first.append(maker.make(recipe, folder.card.output.temperature))
    candidates, unread = refit_confidence(maker, first, images.validation, folder.name)
    say(f"{folder.name}: scoring on {len(images.evaluation):,} images")
    dataset = f"{folder.dataset} {images.evaluation_subset}"
    scores = score(model, candidates, images.evaluation, folder.card, dataset)
    made = [_write(folder, candidates, number, scores, output) for number in range(len(candidates))]
    return made, [*unread, *scores.predictions.skipped, *(calibration.skipped if calibration else [])]


def _calibration(
    folder: ModelFolder, training: Sequence[LabelledImage], count: int, recipes: Sequence[Recipe]
) -> CalibrationSet | None:
    """Choose the images that the model is calibrated with; None when no recipe needs them."""
    if not any(recipe.calibrated for recipe in recipes):
        return None
    seed = folder.card.training.seed if folder.card.training else 0
    return load_calibration(order_by_turns(training, folder.card.labels, seed), count, folder.card)


def _write(
    folder: ModelFolder, candidates: Sequence[Candidate], number: int, scores: Scores, output: Path
) -> Converted:
    candidate, accuracy = candidates[number], scores.accuracies[number]
    golden = scores.golden(number, candidate.card, candidate.recipe.tolerance)
    sealed = seal(candidate.flatbuffer, replace(candidate.card, accuracy=accuracy), golden)
    name = _file_name(folder, candidate.recipe)
    write_atomically(output / name, sealed)
    confidence = candidate.card.output
    return Converted(
        file=name,
        model=folder.name,
        variant=candidate.recipe.name,
        size_bytes=len(sealed),
        images=accuracy.images,
        top1=accuracy.top1,
        top1_ci95=accuracy.top1_ci95,
        keras_top1=scores.keras_top1,
        keras_difference=accuracy.top1 - scores.keras_top1,
        float_agreement=scores.agreement(number),
        ece=accuracy.ece,
        ece_uncalibrated=accuracy.ece_uncalibrated,
        temperature=confidence.temperature,
        threshold=confidence.threshold,
        threshold_precision=confidence.threshold_precision,
        coverage=accuracy.coverage,
        selective_accuracy=accuracy.selective_accuracy,
        convert_seconds=round(candidate.seconds, 2),
    )


@contextmanager
def _folder_unless_it_stays_empty(folder: Path) -> Iterator[None]:
    """Make a folder and its parents, and in the end remove those that are new and still empty."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for path in new:
            if any(path.iterdir()):
                break
            path.rmdir()


def _check_output(output: Path, names: Sequence[str], force: bool) -> list[dict[str, Any]]:
    """Check that `names` can be written into the folder, and return the summary's entries that stay."""
    for name in names:
        refuse_to_overwrite(output / name, force)
        require_writable(output / name)
    return [item for item in _earlier_files(output) if item["file"] not in names]


def _earlier_files(output: Path) -> list[dict[str, Any]]:
    """Return what an earlier conversion into the same folder recorded of files that are still there.

    Raises OutputExistsError when the summary's name is taken by something else.
    """
    path = output / SUMMARY_NAME
    if not path.exists():
        return []
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return [item for item in files if (output / item["file"]).is_file()]
    except (OSError, ValueError, KeyError, TypeError):
        raise OutputExistsError(
            f"{path} is not of edge-convert, and is not replaced. Name another --output"
        ) from None


def _file_name(model: ModelFolder, recipe: Recipe) -> str:
    return f"{model.name}_{recipe.name}.tflite"
