"""The answers of several models to the same images, in one numbering of their labels."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...edge.card import ModelCard
from ...edge.classifier import DEFAULT_EXECUTION, Classifier
from ...edge.errors import DatasetError, EdgeClassifyError, ModelFileError
from ...edge.foreign import NO_FACTS, ForeignFacts
from ...edge.labelled import LabelledImage
from ...edge.modelfile import ModelFile
from ...edge.runtime import Execution
from ...edge.sources.paths import natural_key
from .labelled import LabelledData
from .predict import AnswersByModel, TopAnswers, answer_images
from .split import SkippedImage


@dataclass(frozen=True)
class NotScored:
    """A model whose accuracy could not be measured; `error` is a sentence that names the file."""

    file: str
    error: str


def open_models(
    files: Sequence[Path | ModelFile],
    facts: ForeignFacts = NO_FACTS,
    execution: Execution = DEFAULT_EXECUTION,
) -> list[Classifier | NotScored]:
    """Load several files, by their paths or already read, as edge.classifier.load_classifiers does.

    A file that cannot be loaded is a NotScored.
    """
    opened: list[ModelFile | NotScored] = []
    for given_file in files:
        try:
            opened.append(given_file if isinstance(given_file, ModelFile) else ModelFile.read(given_file))
        except EdgeClassifyError as error:
            opened.append(NotScored(str(given_file), str(error)))
    all_carded = all(file.card is not None for file in opened if isinstance(file, ModelFile))
    models: list[Classifier | NotScored] = []
    for file in opened:
        if isinstance(file, NotScored):
            models.append(file)
            continue
        try:
            models.append(Classifier(file, facts if all_carded else facts.on(file), execution))
        except EdgeClassifyError as error:
            models.append(NotScored(file.name, str(error)))
    return models


def check_classes(model: Classifier | NotScored, images: Sequence[LabelledImage]) -> Classifier | NotScored:
    """Return the model if it knows the images' classes, else a NotScored."""
    if isinstance(model, NotScored):
        return model
    file, known = model.file.name, Counter(model.labels)
    wanted = sorted({image.label for image in images}, key=natural_key)
    if unknown := [label for label in wanted if label not in known]:
        return NotScored(
            file,
            f"--data has classes that {file} does not know: {_listed(unknown, 5)}. "
            f"It knows: {_listed(model.labels, 10)}",
        )
    if twice := [label for label in wanted if known[label] > 1]:
        return NotScored(
            file, f"{file} has several classes called {twice[0]!r}: which of them --data means is not known"
        )
    return model


def _listed(labels: Sequence[str], limit: int) -> str:
    return f"{', '.join(labels[:limit])}{' and more' if len(labels) > limit else ''}"


@dataclass(frozen=True)
class ScoredImages:
    """The images that were classified, of the data set `data`; `skipped` others could not be read.

    `names` are their paths from the data set's folder, `truth` their classes as indices into `labels`, int64
    [images]. The first `present` labels have images; only models know the others.
    """

    data: str
    skipped: int
    names: Sequence[str]
    truth: NDArray[np.int64]
    labels: Sequence[str]
    present: int


@dataclass(frozen=True)
class ModelAnswers:
    """A model and its TopAnswers; `guess` holds indices into the labels of the scored images.

    `unknown` is None for a model that has no output for unknown things.
    """

    file: str
    card: ModelCard | None
    outputs: int
    guess: NDArray[np.int64]
    rank: NDArray[np.int64]
    confidence: NDArray[np.float64]
    unknown: NDArray[np.bool_] | None = None


def describe_images(
    data: LabelledData, answered: AnswersByModel, models: Sequence[Classifier]
) -> ScoredImages:
    """Name the images and number the labels: first those with images, then the others that models know."""
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


def translate(model: Classifier, answers: TopAnswers, scored: ScoredImages) -> ModelAnswers:
    """Return a model's answers in the scored images' numbering."""
    index = {label: number for number, label in enumerate(scored.labels)}
    meaning = np.array([index[label] for label in model.labels], np.int64)
    guess = meaning[answers.guess]
    file, unknown = model.file, answers.unknown if model.unknown_label is not None else None
    return ModelAnswers(file.name, file.card, model.classes, guess, answers.rank, answers.confidence, unknown)


def _name(path: Path, root: Path) -> str:
    """Return a path from the data's folder as text: on Linux a name may hold any bytes."""
    inside = path.relative_to(root) if path.is_relative_to(root) else path
    return os.fsencode(inside.as_posix()).decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class AnsweredImages:
    """The images that could be read, and for each model its answers to them, or why it has none.

    `images` are in the order of `scored`; the others are `skipped`.
    """

    scored: ScoredImages
    models: list[ModelAnswers | NotScored]
    images: list[LabelledImage]
    skipped: list[SkippedImage]


def answer_all(models: Sequence[Classifier | NotScored], data: LabelledData, title: str) -> AnsweredImages:
    """Run all models on the images, on every core; `title` stands before the progress bar.

    Raises DatasetError when none of the images can be read, and ValueError for no model that can be run.
    """
    usable = [model for model in models if isinstance(model, Classifier)]
    if not usable:
        raise ValueError("no model to run")
    answered = answer_images(lambda: [model.clone() for model in usable], data.images, title)
    if not answered.images:
        raise DatasetError(f"None of the {len(data.images)} images of {data.name} can be read")
    scored = describe_images(data, answered, usable)
    given = iter(answered.answers)
    found = [
        _answers(model, next(given), scored) if isinstance(model, Classifier) else model for model in models
    ]
    return AnsweredImages(scored, found, answered.images, answered.skipped)


def _answers(
    model: Classifier, answers: TopAnswers | ModelFileError, scored: ScoredImages
) -> ModelAnswers | NotScored:
    if isinstance(answers, ModelFileError):
        return NotScored(model.file.name, str(answers))
    return translate(model, answers, scored)
