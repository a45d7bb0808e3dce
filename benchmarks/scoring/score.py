"""Models on labelled images: the accuracy of each, with intervals, and the answers that differ."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...edge.card import ModelCard
from ...edge.classifier import DEFAULT_EXECUTION, Classifier
from ...edge.errors import DatasetError, EdgeClassifyError, ModelFileError
from ...edge.labelled import LabelledImage
from ...edge.modelfile import ModelFile, Normalization
from ...edge.runtime import Execution
from ...edge.sources.paths import natural_key
from ...edge.statistics.paired import mcnemar
from ...edge.statistics.proportions import f1_interval, wilson_interval
from ..results.result import Change, ClassScore, MeasuredAccuracy, Pairing
from .labelled import LabelledData
from .predict import AnswersByModel, TopAnswers, answer_images
from .split import SkippedImage
from .statistics import (
    Counts,
    calibration_error,
    calibration_interval,
    count_answers,
    macro_f1_score,
)
from .training_images import KnownSplit, TrainingOverlap, choose_split, find_overlap, hash_images


@dataclass(frozen=True)
class NotScored:
    """A model whose accuracy could not be measured; `error` is a sentence that names the file."""

    file: str
    error: str


def open_models(
    files: Sequence[Path | ModelFile],
    labels: tuple[str, ...] | None = None,
    normalization: Normalization | None = None,
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
        given = (labels, normalization) if file.card is None or all_carded else (None, None)
        try:
            models.append(Classifier(file, *given, execution))
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
    """A model and its TopAnswers; `guess` holds indices into the labels of the scored images."""

    file: str
    card: ModelCard | None
    outputs: int
    guess: NDArray[np.int64]
    rank: NDArray[np.int64]
    confidence: NDArray[np.float64]


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
    file = model.file
    return ModelAnswers(file.name, file.card, model.classes, guess, answers.rank, answers.confidence)


def _name(path: Path, root: Path) -> str:
    """Return a path from the data's folder as text: on Linux a name may hold any bytes."""
    inside = path.relative_to(root) if path.is_relative_to(root) else path
    return os.fsencode(inside.as_posix()).decode("utf-8", "backslashreplace")


def choose_bases(cards: Sequence[ModelCard | None], base: int | None = None) -> list[int | None]:
    """Return for each model the index of the model to compare it with, its base; None for a base.

    The base is `base` where it is given. Otherwise a variant is compared with the float32 variant of the same
    model, if that is among them, and all others with the first model, or the float32 variant of the first.
    """
    if base is not None:
        return [None if index == base else base for index in range(len(cards))]
    first = _find_float(cards, 0) if cards else 0
    chosen: list[int | None] = []
    for index in range(len(cards)):
        own = _find_float(cards, index)
        other = own if own != index else first
        chosen.append(None if other == index else other)
    return chosen


def pair(base: str, scored: ScoredImages, theirs: NDArray[np.int64], ours: NDArray[np.int64]) -> Pairing:
    """Compare the answers of the model `base` and of another, indices into `scored.labels`, [images]."""
    labels, same = scored.labels, theirs == ours
    agreed = int(same.sum())
    test = mcnemar(theirs == scored.truth, ours == scored.truth)
    return Pairing(
        base=base,
        agreement=agreed / len(same),
        agreement_ci95=wilson_interval(agreed, len(same)),
        only_base=test.only_a,
        only_this=test.only_b,
        p_value=test.p_value,
        changed=tuple(
            Change(scored.names[i], labels[scored.truth[i]], labels[theirs[i]], labels[ours[i]])
            for i in np.flatnonzero(~same).tolist()
        ),
    )


def _find_float(cards: Sequence[ModelCard | None], index: int) -> int:
    """Return the index of the float32 variant of a model, or its own index where there is none."""
    card = cards[index]
    for place, other in enumerate(cards):
        if card and other and other.conversion and other.conversion.variant == "float32":
            same = (other.name, other.labels, other.training) == (card.name, card.labels, card.training)
            if same:
                return place
    return index


_TOP = 5


def to_accuracy(
    model: ModelAnswers, scored: ScoredImages, pairing: Pairing | None, overlap: TrainingOverlap | None
) -> MeasuredAccuracy:
    """Measure a model's answers; `pairing` and `overlap` go into the record as they are."""
    images, right = len(scored.truth), model.rank == 0
    correct, within = int(right.sum()), int((model.rank < _TOP).sum())
    guess = np.where(model.guess < scored.present, model.guess, -1)
    counts = count_answers(scored.truth, guess, scored.present)
    macro_f1, macro_f1_ci95 = macro_f1_score(scored.truth, guess, counts, counts.support > 0)
    return MeasuredAccuracy(
        data=scored.data,
        images=images,
        skipped=scored.skipped,
        outputs=model.outputs,
        top1=correct / images,
        top1_ci95=wilson_interval(correct, images),
        top5=within / images,
        top5_ci95=wilson_interval(within, images),
        macro_f1=macro_f1,
        macro_f1_ci95=macro_f1_ci95,
        ece=calibration_error(model.confidence, right),
        ece_ci95=calibration_interval(model.confidence, right),
        classes=_class_scores(counts, scored.labels[: scored.present]),
        pairing=pairing,
        training_images=overlap.training if overlap else None,
        training_examples=overlap.examples if overlap else (),
        validation_images=overlap.validation if overlap else None,
        own_split=overlap.own if overlap else None,
    )


def _class_scores(counts: Counts, labels: Sequence[str]) -> tuple[ClassScore, ...]:
    rates = zip(counts.precision, counts.recall, counts.f1, strict=True)
    numbers = zip(counts.right.tolist(), counts.support.tolist(), counts.predicted.tolist(), strict=True)
    return tuple(
        ClassScore(
            label=label,
            support=support,
            precision=float(precision),
            precision_ci95=wilson_interval(right, predicted),
            recall=float(recall),
            recall_ci95=wilson_interval(right, support),
            f1=float(f1),
            f1_ci95=f1_interval(right, support, predicted),
        )
        for label, (precision, recall, f1), (right, support, predicted) in zip(
            labels, rates, numbers, strict=True
        )
    )


@dataclass(frozen=True)
class Scores:
    """An outcome for each model, in order, and the images that could not be read."""

    outcomes: tuple[MeasuredAccuracy | NotScored, ...]
    skipped: tuple[SkippedImage, ...]


def score(
    models: Sequence[Classifier | NotScored],
    data: LabelledData,
    splits: Sequence[KnownSplit] = (),
    base: int | None = None,
) -> Scores:
    """Measure the accuracy of all models on the same images, on every core.

    Models may list their labels in different orders, and know classes of which there are no images: macro
    F1 is over the classes with images, and any other answer is wrong. Each model is
    paired with model number `base`, or with the base that `choose_bases` names among the scored models.
    `splits` come from `find_splits`. A model that cannot be run, or does not know a class of the images,
    is a NotScored, and stops no other. Raises DatasetError when none of the images can be read.
    """
    checked = [check_classes(model, data.images) for model in models]
    usable = [model for model in checked if isinstance(model, Classifier)]
    if not usable:
        return Scores(tuple(model for model in checked if isinstance(model, NotScored)), ())
    answered = answer_images(lambda: [model.clone() for model in usable], data.images, "scoring")
    if not answered.images:
        raise DatasetError(f"None of the {len(data.images)} images of {data.name} can be read")
    scored = describe_images(data, answered, usable)
    given = iter(answered.answers)
    ran = [_answers(model, given, scored) if isinstance(model, Classifier) else model for model in checked]
    pairings = _pair_all(ran, scored, base)
    overlaps = _find_overlaps(ran, splits, scored, answered.images)
    outcomes = [
        to_accuracy(model, scored, pairing, found) if isinstance(model, ModelAnswers) else model
        for model, pairing, found in zip(ran, pairings, overlaps, strict=True)
    ]
    return Scores(tuple(outcomes), tuple(answered.skipped))


def _answers(
    model: Classifier, given: Iterator[TopAnswers | ModelFileError], scored: ScoredImages
) -> ModelAnswers | NotScored:
    answers = next(given)
    if isinstance(answers, ModelFileError):
        return NotScored(model.file.name, str(answers))
    return translate(model, answers, scored)


def _pair_all(
    models: Sequence[ModelAnswers | NotScored], scored: ScoredImages, base: int | None
) -> list[Pairing | None]:
    """Return each model's comparison; None for a base, and where the base was not scored."""
    pairings: list[Pairing | None] = [None] * len(models)
    ran = {place: model for place, model in enumerate(models) if isinstance(model, ModelAnswers)}
    if base is not None and base not in ran:
        return pairings
    places = list(ran)
    first = None if base is None else places.index(base)
    bases = choose_bases([model.card for model in ran.values()], first)
    for (place, model), chosen in zip(ran.items(), bases, strict=True):
        if chosen is not None:
            other = ran[places[chosen]]
            pairings[place] = pair(other.file, scored, other.guess, model.guess)
    return pairings


def _find_overlaps(
    models: Sequence[ModelAnswers | NotScored],
    splits: Sequence[KnownSplit],
    scored: ScoredImages,
    images: Sequence[LabelledImage],
) -> list[TrainingOverlap | None]:
    """Return the overlap with each model's training images; None where its split is not known."""
    chosen = [choose_split(m.card, splits) if isinstance(m, ModelAnswers) else None for m in models]
    if not any(chosen):  # Hashing takes as long as reading.
        return [None] * len(models)
    hashed = list(zip(scored.names, hash_images(images), strict=True))
    return [find_overlap(*found, hashed) if found else None for found in chosen]
