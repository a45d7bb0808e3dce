"""Which models are compared with each other image by image, and the answers by which one is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...edge.card import ModelCard
from ...edge.classifier import Classifier
from ...edge.statistics.paired import mcnemar
from ...edge.statistics.proportions import wilson_interval
from ..results.bits import pack
from ..results.result import Change, ChoiceAnswers, Pairing
from .answers import AnsweredImages, ModelAnswers, NotScored, ScoredImages, answer_all
from .choice import hash_names
from .labelled import LabelledData


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


def find_origins(cards: Sequence[ModelCard | None], base: int | None = None) -> list[int | None]:
    """Return for each model the index of the float model that it was made from; None where that is not known.

    That is the float32 variant of the same model by their cards; for a model without a card it is `base`,
    which the user named.
    """
    origins: list[int | None] = []
    for index, card in enumerate(cards):
        own = _find_float(cards, index)
        named = base if card is None and base != index else None
        origins.append(own if own != index else named)
    return origins


def pair(
    base: str,
    scored: ScoredImages,
    theirs: NDArray[np.int64],
    ours: NDArray[np.int64],
    is_origin: bool = False,
) -> Pairing:
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
        is_origin=is_origin,
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


def pair_all(
    models: Sequence[ModelAnswers | NotScored], scored: ScoredImages, base: int | None
) -> list[Pairing | None]:
    """Return each model's comparison with its base; None for a base, and where the base was not scored."""
    pairings: list[Pairing | None] = [None] * len(models)
    ran = {place: model for place, model in enumerate(models) if isinstance(model, ModelAnswers)}
    if base is not None and base not in ran:
        return pairings
    places = list(ran)
    first = None if base is None else places.index(base)
    cards = [model.card for model in ran.values()]
    bases, origins = choose_bases(cards, first), find_origins(cards, first)
    for (place, model), chosen, origin in zip(ran.items(), bases, origins, strict=True):
        if chosen is not None:
            other = ran[places[chosen]]
            is_origin = chosen in (first, origin)
            pairings[place] = pair(other.file, scored, other.guess, model.guess, is_origin)
    return pairings


def choice_answers(
    tested: AnsweredImages,
    data: LabelledData,
    models: Sequence[Classifier | NotScored],
    base: int | None,
) -> list[ChoiceAnswers | None]:
    """Return each model's answers to the images that a file is chosen by; None where it has none.

    These are the validation images of `data`, or else the images that were `tested`.
    """
    if data.validation:
        name = data.name.replace("(test split)", "(validation split)")
        known = {image.label for image in data.images}  # All models know these classes.
        others = [image for image in data.validation if image.label in known]
        deciding = answer_all(models, LabelledData(others, name, data.root), "scoring validation images")
    else:
        deciding = tested
    origins = _find_all_origins(tested.models, base)
    return [_choice(tested, deciding, place, origin) for place, origin in enumerate(origins)]


def _find_all_origins(models: Sequence[ModelAnswers | NotScored], base: int | None) -> list[int | None]:
    """Return the places of the models' float models among all models."""
    return find_origins([model.card if isinstance(model, ModelAnswers) else None for model in models], base)


def _choice(
    tested: AnsweredImages, deciding: AnsweredImages, place: int, origin: int | None
) -> ChoiceAnswers | None:
    model, scored = deciding.models[place], deciding.scored
    if not isinstance(model, ModelAnswers):
        return None
    found = ChoiceAnswers(
        data=scored.data,
        images=len(scored.truth),
        sha256=hash_names(scored.names, [scored.labels[true] for true in scored.truth.tolist()]),
        right=pack(model.rank == 0),
    )
    float_model = None if origin is None else deciding.models[origin]
    if not isinstance(float_model, ModelAnswers) or origin is None:
        return found
    sets = [deciding] if deciding is tested else [deciding, tested]
    pairs = [(answered.models[place], answered.models[origin]) for answered in sets]
    differing = [_count_differing(*pair) for pair in pairs]
    return replace(
        found,
        float_right=pack(float_model.rank == 0),
        differing=sum(differing),
        compared=sum(len(answered.scored.truth) for answered in sets),
    )


def _count_differing(one: ModelAnswers | NotScored, other: ModelAnswers | NotScored) -> int:
    if isinstance(one, NotScored) or isinstance(other, NotScored):
        raise ValueError("a model that was not scored has no answers")
    return int((one.guess != other.guess).sum())
