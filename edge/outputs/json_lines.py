"""The classification lines of the contract: one JSON object per image and model, for machines."""

from __future__ import annotations

import json
from typing import TypedDict, final

from ..answers.result import Answer, FrameResult
from ..sources.frames import Frame
from .writer import Writer


class ScoreRecord(TypedDict):
    """One class of a classification line; `score` is its probability, 0..1."""

    label: str
    index: int
    score: float


@final
class AnswerRecord(TypedDict):
    """A classification line of the contract: one model's answer to one frame; times are in milliseconds.

    `answer` is the first of `predictions`, or the word for none of them. `unknown` says that the picture
    looks like none of the classes, `unsure` that the model cannot tell which of them it shows, and `reason`
    why, in words. `unknown_score`, 0..1, is the value of the output for unknown things; None where the model
    has none, and with --no-unknown.
    """

    source: str
    frame: int | None
    age_ms: float | None
    model: str
    answer: str
    predictions: list[ScoreRecord]
    unknown: bool
    unsure: bool
    reason: str | None
    unknown_score: float | None
    decode_ms: float
    infer_ms: float


@final
class ErrorRecord(TypedDict):
    """A line for a frame that could not be read."""

    source: str
    error: str


class JsonLines:
    """Writes one line per image and model, or one for an image that could not be read; ASCII."""

    failed = 0

    def __init__(self, writer: Writer) -> None:
        """Write to `writer`."""
        self._writer = writer

    def show(self, result: FrameResult) -> None:
        """Write the lines of one image together."""
        self._writer.write("".join(json.dumps(record) + "\n" for record in to_records(result)))

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


def to_records(result: FrameResult) -> list[AnswerRecord] | list[ErrorRecord]:
    """Return one classification line per model, or one line with the error."""
    if result.frame.error is not None:
        return [ErrorRecord(source=result.frame.source, error=result.frame.error)]
    return [to_record(result.frame, answer, result.age_ms) for answer in result.answers]


def to_record(frame: Frame, answer: Answer, age_ms: float | None) -> AnswerRecord:
    """Return the classification line of the contract for one frame and one model."""
    prediction = answer.prediction
    return {
        "source": frame.source,
        "frame": frame.index,
        "age_ms": None if age_ms is None else round(age_ms, 1),
        "model": answer.model,
        "answer": answer.label,
        "predictions": [
            {"label": score.label, "index": score.index, "score": round(score.score, 6)}
            for score in prediction.top
        ],
        "unknown": prediction.unknown,
        "unsure": prediction.unsure,
        "reason": answer.reason,
        "unknown_score": None if prediction.unknown_share is None else round(prediction.unknown_share, 6),
        "decode_ms": round(answer.decode_ms, 3),
        "infer_ms": round(prediction.infer_ms, 3),
    }
