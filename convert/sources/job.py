"""One model to convert, with its images, and the float model that all its variants are made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...edge.card import InputSpec, ModelCard, OutputSpec, Preprocess
from ...edge.channels import RGB
from ...edge.doctor.feeding import Reading
from ...edge.errors import OptionError
from ...edge.foreign import ForeignFacts
from ...edge.image_labels.source import CLASS_FOLDERS, LabelSource
from ...edge.labelled import LabelledImage
from ...edge.labels import check_label_count, tell_apart
from ...edge.modelfile import Normalization
from ..calibration import CalibrationSet
from ..recipes import Recipe

# The trained model in a model's folder of a run; its card lies beside it.
KERAS_NAME = "model.keras"
# The model from before it learned from the validation images too.
BEFORE_REFIT_NAME = "before_refit.keras"
_PRECISION = 0.95  # The default of edge-train's --answer-precision.
TRAINING_IMAGES = "training images"  # Of a run, as the card calls them.


@dataclass(frozen=True)
class ModelSource:
    """The model to convert and its images, as the command line names them.

        ModelSource(Path("run"))
        ModelSource(Path("theirs.keras"), labels=("cat", "dog"), normalization=Normalization((0,), (255,)))

    `path` is a run of edge-train, a model's folder in it, or another model file. `labels`, `normalization`,
    `color`, `outputs`, `output_index`, `image_size`, `resize`, `trust` and `label_source` are for other ones.
    `data` and `calibration` are folders; `label_source` is where the classes of `data` are named.
    `supersample` is for runs: by how much larger the input of the files is than the model's, each way.
    """

    path: Path
    data: Path | None = None
    label_source: LabelSource = CLASS_FOLDERS
    calibration: Path | None = None
    labels: tuple[str, ...] | None = None
    normalization: Normalization | None = None
    color: str | None = None
    outputs: str | None = None
    output_index: int | None = None
    image_size: int | None = None
    resize: str | None = None
    trust: bool = False
    supersample: int = 1

    @property
    def facts(self) -> ForeignFacts:
        """What the options say about a model without a card."""
        return ForeignFacts(self.labels, self.normalization, self.color, self.outputs, self.output_index)

    @property
    def calibrated_with(self) -> str:
        """The card's words for the calibration images, without their path."""
        return TRAINING_IMAGES if self.calibration is None else "images of --calibration"

    def card(self, classes: int, height: int, width: int) -> ModelCard:
        """Return the card of a model file that has none; `height` and `width` are those of its input.

        Raises OptionError without labels, and LabelError for labels that do not fit the outputs.
        """
        if self.labels is None:
            raise no_labels(self.path, classes)
        check_label_count(self.labels, classes, f"--labels for {self.path}")
        return ModelCard(
            self.path.stem,
            tell_apart(self.labels),
            InputSpec(height, width, "float32", trained_color=self.color or RGB),
            Preprocess(resize=self.resize or "stretch"),
            OutputSpec(threshold_precision=_PRECISION),
        )


def no_labels(path: Path, classes: int) -> OptionError:
    """Return the error for a model whose classes nobody names."""
    return OptionError(
        f"{path} does not name its {classes} classes. Give --labels FILE: one a line, in the order of the "
        "outputs"
    )


@dataclass(frozen=True)
class JobImages:
    """The images of a job, by their use; a list is empty where there are none.

    `calibration` has the classes in turn, and `calibrated_with` says where these images come from, as
    `validated_with` does for `validation`. `dataset` is the name of the images in `evaluation`. `training`
    are those that the model is known to have learned from.
    """

    calibration: list[LabelledImage]
    calibrated_with: str
    validation: list[LabelledImage]
    evaluation: list[LabelledImage]
    dataset: str
    validated_with: str = "the validation split"
    training: Sequence[LabelledImage] = ()


class FloatModel(Protocol):
    """Takes RGB pixels 0..255 and gives probabilities, without temperature.

    `framework` runs it: "Keras", "TensorFlow" or "LiteRT".
    """

    framework: str

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities, float32 [n, classes], for uint8 [n, height, width, 3]."""

    def make(self, recipe: Recipe, calibration: CalibrationSet | None) -> bytes:
        """Return a variant's flatbuffer at temperature 1, without metadata; raises ConversionError."""

    def packages(self, recipe: Recipe) -> tuple[str, ...]:
        """Return the distributions that made the variant which `make` has returned."""


@dataclass(frozen=True)
class Job:
    """One model to convert: `name` begins the names of its files, `card` holds what is known beforehand.

    `load` may take seconds; it raises ConversionError and CardError. `reading` is how the model reads
    pictures by what the options say; None where its card says it. `load_before_refit` loads the model from
    before it learned from the validation images: that one's answers to them count. None where it has not.
    """

    name: str
    card: ModelCard
    load: Callable[[], FloatModel]
    images: JobImages
    reading: Reading | None = None
    load_before_refit: Callable[[], FloatModel] | None = None
