"""What a model's outputs may mean, and what a model states about it. Loads nothing: --help needs it too."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class OutputMeaning(Enum):
    """The meaning of a model's outputs.

    PROBABILITIES are one for each class, and sum to 1. LOGITS become probabilities by softmax; a single logit
    by sigmoid. SIGMOIDS are one probability for each output by itself: of several labels at once, or, where
    there is only one, of the second of two classes.
    """

    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    SIGMOIDS = "sigmoids"


MEANINGS = tuple(meaning.value for meaning in OutputMeaning)
"""The values of --outputs."""


@dataclass(frozen=True)
class Statement:
    """What a model states about its outputs before it has run.

    Attributes:
        meaning: what they mean; None where nothing tells it.
        exact: whether nothing but their form changed behind the operation that decides.
        reason: the evidence, as part of a sentence: "its graph ends in SOFTMAX".
    """

    meaning: OutputMeaning | None
    exact: bool
    reason: str


# By the activation that a card names.
OF_ACTIVATION = {
    "softmax": OutputMeaning.PROBABILITIES,
    "sigmoid": OutputMeaning.SIGMOIDS,
    "linear": OutputMeaning.LOGITS,
}
BY_CARD = "its card says so"
UNREAD = Statement(None, False, "of so many outputs the first ones alone were looked at")
