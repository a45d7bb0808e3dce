"""A model file of somebody else's as a job: what it doesn't say about itself comes from options."""

from __future__ import annotations

from ...benchmarks.scoring.labelled import labelled_images
from ...edge.card import InputSpec, ModelCard, OutputSpec, Preprocess
from ...edge.console import say
from ...edge.errors import ConversionError, DatasetError, LabelError, OptionError
from ...edge.labelled import LabelledImage
from ...edge.labels import check_label_count
from ..calibration import folder_images, order_by_turns
from ..tflite.compatibility import OlderRuntime
from .float_model import FloatModel, TracedModel
from .jobs import KERAS_SUFFIXES, Images, Job, Source, calibration_source

_SEED = 0
_PRECISION = 0.95  # What edge-train asks of answers by default.
_MOVED = "Put them back, or work in the folder that edge-train was run from"


def foreign_job(source: Source, target: OlderRuntime | None) -> Job:
    """Return the job of one model file; raises as `find_jobs` does."""
    if source.trust and not source.path.is_dir():
        raise OptionError(f"--trust is for SavedModels. {source.path} is loaded without running code from it")
    if source.path.suffix == ".tflite":
        from .float_tflite import read_float_tflite

        return _job(source, *read_float_tflite(source))
    return _job(source, *_traced(source, target))


def _job(source: Source, model: FloatModel, card: ModelCard) -> Job:
    return Job(card.name, card, lambda: model, _find_images(source, card))


def _traced(source: Source, target: OlderRuntime | None) -> tuple[FloatModel, ModelCard]:
    from .contract import wrap
    from .foreign import read_keras, read_saved_model

    if source.path.is_dir():
        network = read_saved_model(source.path, source.image_size, source.trust)
    elif source.path.suffix in KERAS_SUFFIXES:
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
    card = foreign_card(source, wrapped.classes, network.height, network.width)
    framework = "TensorFlow" if source.path.is_dir() else "Keras"
    return TracedModel(wrapped.call, network.height, network.width, framework, target), card


def foreign_card(source: Source, classes: int, height: int, width: int) -> ModelCard:
    """Return the card of somebody else's model; raises OptionError or LabelError when labels don't fit."""
    if source.labels is None:
        raise OptionError(
            f"{source.path} does not name its {classes} classes. Give --labels FILE: one a line, in the "
            "order of the outputs"
        )
    check_label_count(source.labels, classes, f"--labels for {source.path}")
    if len(set(source.labels)) < len(source.labels):
        twice = next(label for label in source.labels if source.labels.count(label) > 1)
        raise LabelError(f"--labels names {twice!r} twice. Labels must differ from each other")
    return ModelCard(
        source.path.stem,
        source.labels,
        InputSpec(height, width, "float32"),
        Preprocess(resize=source.resize or "stretch"),
        OutputSpec(threshold_precision=_PRECISION),
    )


def _find_images(source: Source, card: ModelCard) -> Images:
    """Find images to calibrate, fit and score with; of --calibration, known classes also serve to fit."""
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
        calibration = folder_images(source.calibration)
        folders = [*card.labels, *sorted({image.label for image in calibration} - set(card.labels))]
        calibration = order_by_turns(calibration, folders, _SEED)
    known = [image for image in calibration if image.label in card.labels]
    return Images(calibration, calibration_source(source.calibration), known, evaluation, name)
