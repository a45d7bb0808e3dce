"""What models answered to which images, in a numbering of the labels that is the same for all of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...edge.card import ModelCard
from ...edge.classifier import Classifier
from ...edge.sources.paths import natural_key
from ..labelled import LabelledData
from ..predict import Answered, Answers


@dataclass(frozen=True)
class ScoredImages:
    """The images that were classified, of the data set `data`; `skipped` others could not be read.

    `names` are their paths from the data set's folder, `truth` their classes as indices into `labels`, int64
    [images]. The first `present` labels have images; the others are only known to models.
    """

    data: str
    skipped: int
    names: Sequence[str]
    truth: NDArray[np.int64]
    labels: Sequence[str]
    present: int


@dataclass(frozen=True)
class ModelAnswers:
    """A model of so many outputs, and its Answers; `guess` are indices into the scored images' labels."""

    file: str
    card: ModelCard | None
    outputs: int
    guess: NDArray[np.int64]
    rank: NDArray[np.int64]
    confidence: NDArray[np.float64]


def describe_images(data: LabelledData, answered: Answered, models: Sequence[Classifier]) -> ScoredImages:
    """Name the images and number the labels: first those that have images, then what models may answer."""
    present = sorted({image.label for image in answered.images}, key=natural_key)
    labels = list(dict.fromkeys([*present, *(label for model in models for label in model.labels)]))
    index = {label: number for number, label in enumerate(labels)}
    return ScoredImages(
        data=data.name,
        skipped=len(answered.skipped),
        names=[_name(image.path, data.root) for image in answered.images],
        truth=np.array([index[image.label] for image in answered.images], np.int64),
        labels=labels,
        present=len(present),
    )


def translate(model: Classifier, answers: Answers, scored: ScoredImages) -> ModelAnswers:
    """Return a model's answers in the scored images' numbering."""
    index = {label: number for number, label in enumerate(scored.labels)}
    meaning = np.array([index[label] for label in model.labels], np.int64)
    guess = meaning[answers.guess]
    file = model.file
    return ModelAnswers(str(file.path), file.card, model.classes, guess, answers.rank, answers.confidence)


def _name(path: Path, root: Path) -> str:
    """Return a path from the data's folder as text: on Linux a name may be any bytes."""
    inside = path.relative_to(root) if path.is_relative_to(root) else path
    return os.fsencode(inside.as_posix()).decode("utf-8", "backslashreplace")
