"""What edge-convert is to convert: the models of a run, or one file of somebody else's, with their images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...benchmarks.scoring.split import Split
from ...edge.card import ModelCard
from ...edge.errors import ConversionError, DatasetError, OptionError
from ...edge.labelled import LabelledImage
from ...edge.modelfile import Normalization
from ..calibration import folder_images, order_by_turns
from ..tflite.compatibility import OlderRuntime
from .float_model import FloatModel, TracedModel
from .inputs import MODEL_NAME, ModelFolder, check_split, find_models

KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")


@dataclass(frozen=True)
class Source:
    """What the command line says about the model and its images.

    `path` is a run of edge-train, a model's folder in it, or a model file of anyone's, to which `labels`,
    `normalization`, `image_size`, `resize` and `trust` belong. `data` and `calibration` are folders.
    """

    path: Path
    data: Path | None = None
    calibration: Path | None = None
    labels: tuple[str, ...] | None = None
    normalization: Normalization | None = None
    image_size: int | None = None
    resize: str | None = None
    trust: bool = False


@dataclass(frozen=True)
class Images:
    """Labelled images by their use; `calibration` has the classes in turn, `dataset` names `evaluation`.

    `calibrated_with` says where those of `calibration` come from. What is not there is empty.
    """

    calibration: list[LabelledImage]
    calibrated_with: str
    validation: list[LabelledImage]
    evaluation: list[LabelledImage]
    dataset: str


@dataclass(frozen=True)
class Job:
    """One model to convert. `load` may take seconds; `card` has what is known before conversion."""

    name: str
    card: ModelCard
    load: Callable[[], FloatModel]
    images: Images


def find_jobs(source: Source, target: OlderRuntime | None) -> list[Job]:
    """Return what there is to convert; its files are named after each job's `name`.

    Raises ConversionError, CardError, DatasetError, LabelError or OptionError, saying what is missing.
    """
    if not source.path.exists():
        raise ConversionError(
            f"{source.path}: no such file or folder. Give a run of edge-train, or a model file"
        )
    if source.path.is_dir() and not (source.path / "saved_model.pb").is_file():
        return _run_jobs(source, target)
    from .foreign_job import foreign_job  # It needs what a run doesn't.

    return [foreign_job(source, target)]


def _run_jobs(source: Source, target: OlderRuntime | None) -> list[Job]:
    run, models = find_models(source.path)
    _refuse_for_run(source)
    split = Split.read(run)
    for model in models:
        check_split(model, split, run)
    root = split.find_root(run, source.data, "Say where they are with --data DIR")
    subset = split.evaluation_subset
    evaluation = split.subset(subset, root)
    if not any(image.path.is_file() for image in evaluation):
        raise DatasetError(f"{root} holds none of the {len(evaluation)} {subset} images of {run}")
    training = (
        split.subset("train", root) if source.calibration is None else folder_images(source.calibration)
    )
    jobs = []
    for model in models:
        seed = model.card.training.seed if model.card.training else 0
        calibration = order_by_turns(training, _classes(training, model.card.labels), seed)
        images = Images(
            calibration,
            calibration_source(source.calibration),
            split.subset("validation", root),
            evaluation,
            f"{model.dataset} {subset}",
        )
        jobs.append(Job(model.name, model.card, partial(_load_folder, model, target), images))
    return jobs


def calibration_source(folder: Path | None) -> str:
    """Return how the card calls the images: where they lay is nobody's business."""
    return "training images" if folder is None else "images of --calibration"


def _classes(images: Sequence[LabelledImage], labels: Sequence[str]) -> list[str]:
    """Return the labels in their order, and behind them the folders that are no classes of the model."""
    return [*labels, *sorted({image.label for image in images} - set(labels))]


def _load_folder(model: ModelFolder, target: OlderRuntime | None) -> FloatModel:
    from .keras_model import check_card, load_keras

    path = model.path / MODEL_NAME
    network = load_keras(path)
    check_card(network, model.card, path)
    size = model.card.input
    return TracedModel(lambda image: network(image, training=False), size.height, size.width, target=target)


def _refuse_for_run(source: Source) -> None:
    given = {
        "--labels": source.labels,
        "--normalization": source.normalization,
        "--image-size": source.image_size,
        "--resize": source.resize,
        "--trust": source.trust or None,
    }
    for name, value in given.items():
        if value is not None:
            raise OptionError(
                f"{name} is for model files of other people: a run of edge-train says all about its models "
                "itself"
            )
