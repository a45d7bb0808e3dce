"""Finds the models to convert: those of a run of edge-train, or one other model file, with their images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ...benchmarks.scoring.labelled import labelled_images
from ...benchmarks.scoring.split import FILE_NAME, Split
from ...edge.card import ModelCard
from ...edge.channels import RGB
from ...edge.console import say
from ...edge.doctor.feeding import Reading
from ...edge.errors import CardError, ConversionError, DatasetError, OptionError
from ...edge.inner_files import UnsafePathError, is_link, read_inner
from ...edge.interrupts import loading
from ...edge.labelled import LabelledImage
from ...edge.modelfile import CARD_NAME, MAX_TEXT_BYTES
from ...edge.other_formats import folder_format
from ..calibration import folder_images, order_by_turns
from ..tflite.compatibility import OlderRuntime
from .imagenet import PREFIX, imagenet_source, is_imagenet, network_name
from .job import BEFORE_REFIT_NAME, KERAS_NAME, FloatModel, Job, JobImages, ModelSource
from .model_format import ModelFormat, model_format

_FOREIGN_SEED = 0
_MOVED = "Put them back, or work in the folder that edge-train was run from"


def find_jobs(source: ModelSource, target: OlderRuntime | None) -> list[Job]:
    """Return the models to convert; the names of their files begin with each job's `name`.

    Raises ConversionError, CardError, DatasetError, LabelError or OptionError, which say what is missing.
    """
    if is_imagenet(source.path):
        _refuse_supersampling(source)
        return [_imagenet_job(source, target)]
    if not source.path.exists():
        raise ConversionError(
            f"{source.path}: no such file or folder. Give a run of edge-train, a model file, or one of "
            f"Keras's own as {PREFIX}NAME"
        )
    if source.path.is_dir() and not (source.path / "saved_model.pb").is_file():
        return _run_jobs(source, target)
    _refuse_supersampling(source)
    return [_foreign_job(source, target)]


@dataclass(frozen=True)
class _ModelFolder:
    """A trained model's folder, as edge-train writes it; `supersample` is as in ModelSource."""

    path: Path
    card: ModelCard
    supersample: int

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

    @property
    def file_card(self) -> ModelCard:
        """The card of the files to make: its input is `supersample` times as wide and high as the model's."""
        size, times = self.card.input, self.supersample
        return replace(self.card, input=replace(size, height=times * size.height, width=times * size.width))

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

    def before_refit(self, target: OlderRuntime | None) -> Callable[[], FloatModel] | None:
        """Return what loads the model from before it learned from the validation images; None if it has not.

        Raises ConversionError where its file is missing.
        """
        if self.card.training is None or not self.card.training.learned_validation:
            return None
        if not (self.path / BEFORE_REFIT_NAME).is_file():
            raise ConversionError(
                f"{self.path / BEFORE_REFIT_NAME} is missing: {KERAS_NAME} has learned from the validation "
                "images too, and only the model from before shows by them how sure it may be. Copy the whole "
                "folder of the run, or train with --no-refit"
            )
        return partial(self.load, target, BEFORE_REFIT_NAME)

    def load(self, target: OlderRuntime | None, name: str = KERAS_NAME) -> FloatModel:
        """Load the model in the file `name`, with the input of `file_card`.

        Raises ConversionError and CardError.
        """
        with loading():
            from .keras_model import check_card, load_keras
            from .supersampling import supersampled
            from .traced_model import TracedModel

        path, size = self.path / name, self.file_card.input
        network = load_keras(path)
        check_card(network, self.card, path)
        call = supersampled(lambda image: network(image, training=False), self.supersample)
        return TracedModel(call, size.height, size.width, target=target)


def _run_jobs(source: ModelSource, target: OlderRuntime | None) -> list[Job]:
    run, folders = _find_folders(source.path, source.supersample)
    _refuse_for_run(source)
    split = Split.read(run)
    for folder in folders:
        folder.check_split(split, run)
    root = split.find_root(run, source.data, "Say where they are with --data DIR")
    subset = split.evaluation_subset
    evaluation = split.subset(subset, root)
    if not any(image.path.is_file() for image in evaluation):
        raise DatasetError(f"{root} holds none of the {len(evaluation)} {subset} images of {run}")
    training = split.subset("train", root)
    calibration = training if source.calibration is None else folder_images(source.calibration)
    validation = split.subset("validation", root)
    return [
        Job(
            folder.name,
            folder.file_card,
            partial(folder.load, target),
            JobImages(
                _by_turns(calibration, folder.card.labels, folder.seed),
                source.calibrated_with,
                validation,
                evaluation,
                f"{folder.dataset} {subset}",
                training=training,
            ),
            load_before_refit=folder.before_refit(target),
        )
        for folder in folders
    ]


def _find_folders(path: Path, supersample: int) -> tuple[Path, list[_ModelFolder]]:
    """Return the run, and the models to convert: all models of a run, or the one whose folder was given.

    Raises ConversionError for another folder, CardError when a card cannot be used.
    """
    alone = (path / KERAS_NAME).is_file()
    folders = [path.resolve()] if alone else sorted(found.parent for found in path.glob(f"*/{KERAS_NAME}"))
    if not folders:
        if instead := folder_format(path):
            raise ConversionError(f"{path} {instead}")
        raise ConversionError(
            f"{path} is no run of edge-train: neither it nor a folder in it holds {KERAS_NAME}"
        )
    for folder in folders:
        _require_no_links(folder, given=alone)
    run = folders[0].parent if alone else path
    return run, [_ModelFolder(folder, _read_card(folder), supersample) for folder in folders]


def _require_no_links(folder: Path, given: bool) -> None:
    """Raise ConversionError for a link that would be followed: a run may come from an archive.

    The folder itself may be one where the user has `given` it.
    """
    for path in (
        *(() if given else (folder,)),
        *(folder / name for name in (KERAS_NAME, BEFORE_REFIT_NAME, CARD_NAME)),
    ):
        if is_link(path):
            raise ConversionError(
                f"{path} is a link, and links inside a run are not followed. Put the file in its place"
            )


def _read_card(folder: Path) -> ModelCard:
    path = folder / CARD_NAME
    try:
        return ModelCard.from_json(read_inner(folder, CARD_NAME, MAX_TEXT_BYTES))
    except CardError as error:
        raise CardError(f"{path}: {error}") from None
    except UnsafePathError as error:
        raise CardError(f"{path} {error}; edge-train writes a file") from None
    except OSError as error:
        raise CardError(f"{path} cannot be read ({error.strerror}); edge-train writes it") from None


def _refuse_for_run(source: ModelSource) -> None:
    given = {
        "--labels": source.labels,
        "--normalization": source.normalization,
        "--color": source.color,
        "--outputs": source.outputs,
        "--output-index": source.output_index,
        "--image-size": source.image_size,
        "--resize": source.resize,
        "--trust": source.trust or None,
        "--image-labels": source.label_source.tables or None,
        "--labels-from-names": source.label_source.in_names,
    }
    for name, value in given.items():
        if value is not None:
            raise OptionError(
                f"{name} is for model files of other people: a run of edge-train says all about its models "
                "itself"
            )


def _refuse_supersampling(source: ModelSource) -> None:
    if source.supersample != 1:
        raise OptionError(
            f"--supersample is for a run of edge-train. {source.path} keeps the size of its input; leave the "
            "option out"
        )


def _imagenet_job(source: ModelSource, target: OlderRuntime | None) -> Job:
    source = imagenet_source(source)
    read = _read_network(source, ModelFormat.KERAS, target)
    card = replace(read.card, name=network_name(source.path))
    return Job(card.name, card, lambda: read.model, _foreign_images(source, card), read.reading)


def _foreign_job(source: ModelSource, target: OlderRuntime | None) -> Job:
    stored = model_format(source.path)
    if source.trust and stored is not ModelFormat.SAVED_MODEL:
        raise OptionError(f"--trust is for SavedModels. {source.path} is loaded without running code from it")
    read = _read_tflite(source) if stored is ModelFormat.TFLITE else _read_network(source, stored, target)
    return Job(
        read.card.name, read.card, lambda: read.model, _foreign_images(source, read.card), read.reading
    )


class _ReadModel(NamedTuple):
    """A model file of other people; `reading` is as in Job."""

    model: FloatModel
    card: ModelCard
    reading: Reading | None


def _read_tflite(source: ModelSource) -> _ReadModel:
    with loading():
        from .float_tflite import read_float_tflite

    model, card = read_float_tflite(source)
    return _ReadModel(model, card, model.reading)


def _read_network(source: ModelSource, stored: ModelFormat, target: OlderRuntime | None) -> _ReadModel:
    with loading():
        from .network import read_keras, read_saved_model, wrap
        from .traced_model import TracedModel

    if stored is ModelFormat.SAVED_MODEL:
        network = read_saved_model(source.path, source.image_size, source.trust, source.output_index)
    else:
        network = read_keras(source.path, source.image_size, source.output_index)
    if source.normalization is None:
        raise OptionError(
            f"{source.path} does not say how pixels are scaled. Give --normalization 0..255 (also where the "
            "model scales them itself), 0..1, -1..1 or MEAN,STD, as it was trained"
        )
    color = source.color or RGB
    wrapped = wrap(network, source.normalization, color, source.outputs)
    for note in wrapped.notes:
        say(f"{source.path}: {note}")
    card = source.card(wrapped.classes, network.height, network.width)
    framework = "TensorFlow" if stored is ModelFormat.SAVED_MODEL else "Keras"
    model = TracedModel(
        wrapped.call, network.height, network.width, framework, target, wrapped.reference, wrapped.function
    )
    return _ReadModel(model, card, Reading(source.normalization, None if network.channels == 1 else color))


def _foreign_images(source: ModelSource, card: ModelCard) -> JobImages:
    """Find the images; those of --calibration whose classes are known also serve to fit the confidence."""
    evaluation: list[LabelledImage] = []
    name = ""
    if source.data is not None:
        evaluation, name, *_ = labelled_images(source.data, moved=_MOVED, source=source.label_source)
        unknown = sorted({image.label for image in evaluation} - set(card.labels))
        if unknown:
            raise DatasetError(
                f"--data has classes that --labels lacks: {', '.join(unknown[:5])}"
                f"{' and more' if len(unknown) > 5 else ''}"
            )
    calibration: list[LabelledImage] = []
    if source.calibration is not None:
        calibration = _by_turns(folder_images(source.calibration), card.labels, _FOREIGN_SEED)
    scored = {image.path.resolve() for image in evaluation}
    known = [i for i in calibration if i.label in card.labels and i.path.resolve() not in scored]
    return JobImages(calibration, source.calibrated_with, known, evaluation, name, "--calibration")


def _by_turns(images: Sequence[LabelledImage], labels: Sequence[str], seed: int) -> list[LabelledImage]:
    """Return the images, the classes in turn; folders that are no classes of the model come last."""
    return order_by_turns(images, [*labels, *sorted({image.label for image in images} - set(labels))], seed)
