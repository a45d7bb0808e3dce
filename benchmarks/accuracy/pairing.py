"""Two models on the same images: where their answers differ, and whether one is better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...edge.card import ModelCard
from ...edge.proportions import wilson_interval
from ..results.sections import Change, Pairing
from ..statistics import mcnemar
from .answers import ScoredImages


def choose_bases(cards: Sequence[ModelCard | None], base: int | None = None) -> list[int | None]:
    """Return for each model the index of the one to compare it with; None for that one itself.

    That is `base`, where it is given. Otherwise a variant is compared with the float32 variant of the same
    model, if that is among them, and all others with the first model, or that one's float32 variant.
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
    """Compare what the model `base` and another one answer, each [images], indices into `scored.labels`."""
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
    """Return the index of the float32 variant of a model, or the model's own where there is none."""
    card = cards[index]
    for place, other in enumerate(cards):
        if card and other and other.conversion and other.conversion.variant == "float32":
            same = (other.name, other.labels, other.training) == (card.name, card.labels, card.training)
            if same:
                return place
    return index
