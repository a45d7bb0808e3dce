"""The rows of an answer, for the live table and for pictures."""

from __future__ import annotations

from dataclasses import dataclass

from ..answers.result import Answer
from ..printable import one_line


@dataclass(frozen=True)
class Row:
    """A label in printable characters and its probability, 0..1; "unsure" and "unknown" have none.

    `chosen` marks the row that is the answer.
    """

    label: str
    score: float | None
    chosen: bool


def rows_of(answer: Answer) -> list[Row]:
    """Return the answer, then the other classes; after "unsure" or "unknown" none of these is the answer."""
    word = answer.word
    scores = [
        Row(one_line(score.label), score.score, number == 0 and word is None)
        for number, score in enumerate(answer.prediction.top)
    ]
    return scores if word is None else [Row(one_line(word), None, True), *scores]
