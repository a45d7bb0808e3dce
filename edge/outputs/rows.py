"""What people are shown of one answer, the same in a table and on a picture."""

from __future__ import annotations

from dataclasses import dataclass

from ..answers.result import Answer
from ..classifier import UNKNOWN
from ..console import one_line


@dataclass(frozen=True)
class Row:
    """A label in printable characters and its probability, 0..1; "unknown" has none.

    `chosen` marks the row that is the answer.
    """

    label: str
    score: float | None
    chosen: bool


def rows_of(answer: Answer) -> list[Row]:
    """Return the answer, then what else it could be; below "unknown" all classes are only guesses."""
    unknown = answer.prediction.unknown
    scores = [
        Row(one_line(score.label), score.score, number == 0 and not unknown)
        for number, score in enumerate(answer.prediction.top)
    ]
    return [Row(UNKNOWN, None, True), *scores] if unknown else scores
