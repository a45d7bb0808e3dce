"""The rows of an answer, for the live table and for pictures."""

from __future__ import annotations

from dataclasses import dataclass

from ..answers.result import Answer
from ..classifier import UNKNOWN
from ..printable import one_line


@dataclass(frozen=True)
class Row:
    """A label in printable characters and its probability, 0..1; "unknown" has none.

    `chosen` marks the row that is the answer.
    """

    label: str
    score: float | None
    chosen: bool


def rows_of(answer: Answer) -> list[Row]:
    """Return the answer, then the other classes; after "unknown" none of the classes is the answer."""
    unknown = answer.prediction.unknown
    scores = [
        Row(one_line(score.label), score.score, number == 0 and not unknown)
        for number, score in enumerate(answer.prediction.top)
    ]
    return [Row(UNKNOWN, None, True), *scores] if unknown else scores
