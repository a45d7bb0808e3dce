"""Finds the models to convert: those of a run of edge-train, or one other model file, with their images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...benchmarks.scoring.labelled import labelled_images
from ...benchmarks.scoring.split import FILE_NAME, Split
from ...edge.card import ModelCard
from ...edge.console import say
from ...edge.errors import CardError, ConversionError, DatasetError, OptionError
from ...edge.labelled import LabelledImage
from ...edge.modelfile import CARD_NAME
from ..calibration import folder_images, order_by_turns
from ..tflite.compatibility import OlderRuntime
from .job import KERAS_NAME, FloatModel, Job, JobImages, ModelSource

_KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")
_FOREIGN_SEED = 0
_MOVED = "Put them back, or work in the folder that edge-train was run from"


def find_jobs(source: ModelSource, target: OlderRuntime | None) -> list[Job]:
    """Return the models to convert; the names of their files begin with each job's `name`.

    Raises ConversionError, CardError, DatasetError, LabelError or OptionError, which say what is missing.
    """
    if not source.path.exists():
        raise ConversionError(
            f"{source.path}: no such file or folder. Give a run of edge-train, or a model file"
        )
    if source.path.is_dir() and not (source.path / "saved_model.pb").is_file():
        return _run_jobs(source, target)
    return [_foreign_job(source, target)]


@dataclass(frozen=True)
class _ModelFolder:
    """A trained model's folder, as edge-train writes it."""

    path: Path
    card: ModelCard

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def dataset(self) -> str:
        """The name of the data set that the model was trained on."""
        return self.card.training.dataset if self.card.training else "unnamed"

    @property
    def seed(self) -> int:
        """The seed that the model was trained with."""
        return self.card.training.seed if self.card.training else 0

    def check_split(self, split: Split, run: Path) -> None:
        """Raise DatasetError for a model of another run: it would be scored on its own training images.

        Raises CardError when its labels are not the split's, in the split's order.
        """
        if self.card.labels != split.labels:
            raise CardError(
                f"{self.path / CARD_NAME} has other labels, or another order of them, than "
                f"{run / FILE_NAME}: {len(self.card.labels)} labels and {len(split.labels)}"
            )
        if self.card.training is not None and self.card.training.split_sha256 != split.sha256:
            raise DatasetError(
                f"{self.path} was not trained on the split in {run / FILE_NAME}: their checksums differ"
            )

    def load(self, target: OlderRuntime | None) -> FloatModel:
        """Load the model; raises ConversionError and CardError."""
        from .keras_model import check_card, load_keras
        from .traced_model import TracedModel

        path, size = self.path / KERAS_NAME, self.card.input
        network = load_keras(path)
        check_card(network, self.card, path)
        return TracedModel(
            lambda image: network(image, training=False), size.height, size.width, target=target
        )


def _run_jobs(source: ModelSource, target: OlderRuntime | None) -> list[Job]:
    run, folders = _find_folders(source.path)
    _refuse_for_run(source)
    split = Split.read(run)
    for folder in folders:
        folder.check_split(split, run)
    root = split.find_root(run, source.data, "Say where they are with --data DIR")
    subset = split.evaluation_subset
    evaluation = split.subset(subset, root)
    if not any(image.path.is_file() for image in evaluation):
        raise DatasetError(f"{root} holds none of the {len(evaluation)} {subset} images of {run}")
    calibration = (
        split.subset("train", root) if source.calibration is None else folder_images(source.calibration)
    )
    validation = split.subset("validation", root)
    return [
        Job(
            folder.name,
            folder.card,
            partial(folder.load, target),
            JobImages(
                _by_turns(calibration, folder.card.labels, folder.seed),
                source.calibrated_with,
                validation,
                evaluation,
                f"{folder.dataset} {subset}",
            ),
        )
        for folder in folders
    ]


def _find_folders(path: Path) -> tuple[Path, list[_ModelFolder]]:
    """Return the run, and the models to convert: all models of a run, or the one whose folder was given.

    Raises ConversionError for another folder, CardError when a card cannot be used.
    """
    alone = (path / KERAS_NAME).is_file()
    folders = [path.resolve()] if alone else sorted(found.parent for found in path.glob(f"*/{KERAS_NAME}"))
    if not folders:
        raise ConversionError(
            f"{path} is no run of edge-train: neither it nor a folder in it holds {KERAS_NAME}"
        )
    run = folders[0].parent if alone else path
    return run, [_ModelFolder(folder, _read_card(folder / CARD_NAME)) for folder in folders]


def _read_card(path: Path) -> ModelCard:
    try:
        return ModelCard.from_json(path.read_bytes())
    except CardError as error:
        raise CardError(f"{path}: {error}") from None
    except OSError as error:
        raise CardError(f"{path} cannot be read ({error.strerror}); edge-train writes it") from None


def _refuse_for_run(source: ModelSource) -> None:
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


def _foreign_job(source: ModelSource, target: OlderRuntime | None) -> Job:
    if source.trust and not source.path.is_dir():
        raise OptionError(f"--trust is for SavedModels. {source.path} is loaded without running code from it")
    model, card = _read_tflite(source) if source.path.suffix == ".tflite" else _read_network(source, target)
    return Job(card.name, card, lambda: model, _foreign_images(source, card))


def _read_tflite(source: ModelSource) -> tuple[FloatModel, ModelCard]:
    from .float_tflite import read_float_tflite

    return read_float_tflite(source)


def _read_network(source: ModelSource, target: OlderRuntime | None) -> tuple[FloatModel, ModelCard]:
    from .network import read_keras, read_saved_model, wrap
    from .traced_model import TracedModel

    if source.path.is_dir():
        network = read_saved_model(source.path, source.image_size, source.trust)
    elif source.path.suffix in _KERAS_SUFFIXES:
        network = read_keras(source.path, source.image_size)
    else:
        raise ConversionError(
            f"{source.path} is no model that can be converted. Give a run of edge-train, a .keras or .h5 "
            "file, a SavedModel's folder, or a float .tflite"
        )
    if source.normalization is None:
        raise OptionError(
            f"{source.path} does not say how pixels are scaled. Give --normalization 0..255 (also where the "
            "model scales them itself), 0..1, -1..1 or MEAN,STD, as it was trained"
        )
    wrapped = wrap(network, source.normalization)
    for note in wrapped.notes:
        say(f"{source.path}: {note}")
    card = source.card(wrapped.classes, network.height, network.width)
    framework = "TensorFlow" if source.path.is_dir() else "Keras"
    return TracedModel(wrapped.call, network.height, network.width, framework, target), card


def _foreign_images(source: ModelSource, card: ModelCard) -> JobImages:
    """Find the images; those of --calibration whose classes are known also serve to fit the confidence."""
    evaluation: list[LabelledImage] = []
    name = ""
    if source.data is not None:
        evaluation, name, *_ = labelled_images(source.data, moved=_MOVED)
        unknown = sorted({image.label for image in evaluation} - set(card.labels))
        if unknown:
            raise DatasetError(
                f"--data has classes that --labels lacks: {', '.join(unknown[:5])}"
                f"{' and more' if len(unknown) > 5 else ''}"
            )
    calibration: list[LabelledImage] = []
    if source.calibration is not None:
        calibration = _by_turns(folder_images(source.calibration), card.labels, _FOREIGN_SEED)
    known = [image for image in calibration if image.label in card.labels]
    return JobImages(calibration, source.calibrated_with, known, evaluation, name)


def _by_turns(images: Sequence[LabelledImage], labels: Sequence[str], seed: int) -> list[LabelledImage]:
    """Return the images, the classes in turn; folders that are no classes of the model come last."""
    return order_by_turns(images, [*labels, *sorted({image.label for image in images} - set(labels))], seed)
