"""One model to convert, with its images, and the float model that all its variants are made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...edge.card import InputSpec, ModelCard, OutputSpec, Preprocess
from ...edge.errors import LabelError, OptionError
from ...edge.labelled import LabelledImage
from ...edge.labels import check_label_count
from ...edge.modelfile import Normalization
from ..calibration import CalibrationSet
from ..recipes import Recipe

# The trained model in a model's folder of a run; its card lies beside it.
KERAS_NAME = "model.keras"
_PRECISION = 0.95  # The default of edge-train's --answer-precision.
TRAINING_IMAGES = "training images"  # Of a run, as the card calls them.


@dataclass(frozen=True)
class ModelSource:
    """The model to convert and its images, as the command line names them.

        ModelSource(Path("run"))
        ModelSource(Path("theirs.keras"), labels=("cat", "dog"), normalization=Normalization((0,), (255,)))

    `path` is a run of edge-train, a model's folder in it, or another model file. `labels`, `normalization`,
    `image_size`, `resize` and `trust` are for other model files only. `data` and `calibration` are folders.
    """

    path: Path
    data: Path | None = None
    calibration: Path | None = None
    labels: tuple[str, ...] | None = None
    normalization: Normalization | None = None
    image_size: int | None = None
    resize: str | None = None
    trust: bool = False

    @property
    def calibrated_with(self) -> str:
        """The card's words for the calibration images, without their path."""
        return TRAINING_IMAGES if self.calibration is None else "images of --calibration"

    def card(self, classes: int, height: int, width: int) -> ModelCard:
        """Return the card of a model file that has none; `height` and `width` are those of its input.

        Raises OptionError without labels, and LabelError for labels that do not fit the outputs.
        """
        if self.labels is None:
            raise OptionError(
                f"{self.path} does not name its {classes} classes. Give --labels FILE: one a line, in the "
                "order of the outputs"
            )
        check_label_count(self.labels, classes, f"--labels for {self.path}")
        if len(set(self.labels)) < len(self.labels):
            twice = next(label for label in self.labels if self.labels.count(label) > 1)
            raise LabelError(f"--labels names {twice!r} twice. Labels must differ from each other")
        return ModelCard(
            self.path.stem,
            self.labels,
            InputSpec(height, width, "float32"),
            Preprocess(resize=self.resize or "stretch"),
            OutputSpec(threshold_precision=_PRECISION),
        )


@dataclass(frozen=True)
class JobImages:
    """The images of a job, by their use; a list is empty where there are none.

    `calibration` has the classes in turn, and `calibrated_with` says where these images come from. `dataset`
    is the name of the images in `evaluation`.
    """

    calibration: list[LabelledImage]
    calibrated_with: str
    validation: list[LabelledImage]
    evaluation: list[LabelledImage]
    dataset: str


class FloatModel(Protocol):
    """Takes RGB pixels 0..255 and gives probabilities, without temperature.

    `framework` runs it: "Keras", "TensorFlow" or "LiteRT". `package` is the distribution that converts it.
    """

    framework: str
    package: str

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities, float32 [n, classes], for uint8 [n, height, width, 3]."""

    def make(self, recipe: Recipe, calibration: CalibrationSet | None) -> bytes:
        """Return a variant's flatbuffer at temperature 1, without metadata; raises ConversionError."""


@dataclass(frozen=True)
class Job:
    """One model to convert: `name` begins the names of its files, `card` holds what is known beforehand.

    `load` may take seconds; it raises ConversionError and CardError.
    """

    name: str
    card: ModelCard
    load: Callable[[], FloatModel]
    images: JobImages
