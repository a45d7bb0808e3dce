"""One run of edge-convert: trained models in, scored .tflite files out. Imported after TensorFlow."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..benchmarks.split import LabelledImage, SkippedImage, Split
from ..edge.card import ConversionInfo, ModelCard
from ..edge.console import say
from ..edge.errors import DatasetError, OutputExistsError
from ..edge.files import refuse_to_overwrite, require_writable, write_atomically
from .calibration import CalibrationSet, load_calibration, order_by_turns
from .converter import load_model, to_tflite, trace
from .inputs import MODEL_NAME, ModelFolder, check_split, find_models
from .recipes import Recipe
from .scoring import score
from .sealing import complete_card, seal

SUMMARY_NAME = "conversion.json"


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
class _Candidate:
    """A flatbuffer that was made and not yet scored."""

    recipe: Recipe
    flatbuffer: bytes
    card: ModelCard
    seconds: float


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
    root = split.find_root(run, data, "Say where they are with --data DIR")
    training = split.subset("train", root)
    images = split.subset(split.evaluation_subset, root)
    if not any(image.path.is_file() for image in images):
        raise DatasetError(
            f"{root} holds none of the {len(images)} {split.evaluation_subset} images of {run}"
        )
    names = [_file_name(model, recipe) for model in models for recipe in recipes]
    earlier = _prepare_output(output, names, force)
    done: list[Converted] = []
    skipped: dict[str, SkippedImage] = {}
    for model in models:
        calibration = None
        if any(recipe.calibrated for recipe in recipes):
            seed = model.card.training.seed if model.card.training else 0
            ordered = order_by_turns(training, split.labels, seed)
            calibration = load_calibration(ordered, calibration_images, model.card)
        dataset = f"{model.dataset} {split.evaluation_subset}"
        made, unread = _convert_model(model, recipes, calibration, images, dataset, output)
        done += made
        unread += calibration.skipped if calibration else []
        skipped |= {file.path: file for file in unread}
        summary = {"source": source.resolve().name, "files": [*earlier, *(asdict(item) for item in done)]}
        write_atomically(output / SUMMARY_NAME, json.dumps(summary, indent=1) + "\n")
    for file in skipped.values():
        say(f"skipped {file.reason}")
    return done, list(skipped.values())


def _convert_model(
    folder: ModelFolder,
    recipes: Sequence[Recipe],
    calibration: CalibrationSet | None,
    images: Sequence[LabelledImage],
    dataset: str,
    output: Path,
) -> tuple[list[Converted], list[SkippedImage]]:
    model = load_model(folder.path / MODEL_NAME, folder.card)
    function = trace(model, folder.card)
    candidates = []
    for recipe in recipes:
        say(f"{folder.name}: converting to {recipe.name}")
        started = time.monotonic()
        flatbuffer = to_tflite(function, recipe, calibration)
        seconds = time.monotonic() - started
        card = complete_card(flatbuffer, folder.card, recipe.io)
        card = replace(card, conversion=_provenance(recipe, calibration), accuracy=None)
        candidates.append(_Candidate(recipe, flatbuffer, card, seconds))
    say(f"{folder.name}: scoring on {len(images):,} images")
    scores = score(model, [seal(c.flatbuffer, c.card) for c in candidates], images, folder.card, dataset)
    made = []
    for number, (candidate, accuracy) in enumerate(zip(candidates, scores.accuracies, strict=True)):
        golden = scores.golden(number, candidate.card, candidate.recipe.tolerance)
        sealed = seal(candidate.flatbuffer, replace(candidate.card, accuracy=accuracy), golden)
        name = _file_name(folder, candidate.recipe)
        write_atomically(output / name, sealed)
        made.append(
            Converted(
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
                convert_seconds=round(candidate.seconds, 2),
            )
        )
    return made, scores.predictions.skipped


def _prepare_output(output: Path, names: Sequence[str], force: bool) -> list[dict[str, Any]]:
    """Make the folder, check that `names` can be written, and return the summary's entries that stay."""
    output.mkdir(parents=True, exist_ok=True)
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


def _provenance(recipe: Recipe, calibration: CalibrationSet | None) -> ConversionInfo:
    versions = {name: version(name) for name in ("edge-classify", "tensorflow", "ai-edge-litert")}
    info = calibration.info if calibration and recipe.calibrated else None
    return ConversionInfo(recipe.name, recipe.to_json(), info, versions)
