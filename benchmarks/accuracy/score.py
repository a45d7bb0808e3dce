"""Models on labelled images: how right each is, with intervals, and which answers differ between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...edge.classifier import Classifier
from ...edge.errors import DatasetError, ModelFileError
from ..labelled import LabelledData
from ..predict import Answers, answer_images
from ..results.sections import Accuracy, Pairing
from ..split import LabelledImage, SkippedImage
from .answers import ModelAnswers, ScoredImages, describe_images, translate
from .figures import to_accuracy
from .models import NotScored, check_classes
from .pairing import choose_bases, pair
from .training import KnownSplit, Seen, choose_split, find_seen, hash_images


@dataclass(frozen=True)
class Scores:
    """An outcome for each model, in order, and the images that could not be read."""

    outcomes: tuple[Accuracy | NotScored, ...]
    skipped: tuple[SkippedImage, ...]


def score(
    models: Sequence[Classifier | NotScored],
    data: LabelledData,
    splits: Sequence[KnownSplit] = (),
    base: int | None = None,
) -> Scores:
    """Measure the accuracy of all models on the same images, on every core.

    Models may list their labels in different orders, and know classes of which there are no images: macro
    F1 is over the classes that have some, and an answer that is none of them is a wrong one. Each model is
    paired with model number `base`, or with the one that `choose_bases` names of those that could be scored.
    `splits` are those of `find_splits`. A model that cannot be run, or does not know a class of the images,
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
    seen = _find_all_seen(ran, splits, scored, answered.images)
    outcomes = [
        to_accuracy(model, scored, pairing, found) if isinstance(model, ModelAnswers) else model
        for model, pairing, found in zip(ran, pairings, seen, strict=True)
    ]
    return Scores(tuple(outcomes), tuple(answered.skipped))


def _answers(
    model: Classifier, given: Iterator[Answers | ModelFileError], scored: ScoredImages
) -> ModelAnswers | NotScored:
    answers = next(given)
    if isinstance(answers, ModelFileError):
        return NotScored(str(model.file.path), str(answers))
    return translate(model, answers, scored)


def _pair_all(
    models: Sequence[ModelAnswers | NotScored], scored: ScoredImages, base: int | None
) -> list[Pairing | None]:
    """Return each model's comparison; None for a base, and where the base could not be scored."""
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


def _find_all_seen(
    models: Sequence[ModelAnswers | NotScored],
    splits: Sequence[KnownSplit],
    scored: ScoredImages,
    images: Sequence[LabelledImage],
) -> list[Seen | None]:
    """Look for each model's training images; None where no split is known."""
    chosen = [choose_split(m.card, splits) if isinstance(m, ModelAnswers) else None for m in models]
    if not any(chosen):  # Hashing takes as long as reading.
        return [None] * len(models)
    hashed = list(zip(scored.names, hash_images(images), strict=True))
    return [find_seen(*found, hashed) if found else None for found in chosen]
