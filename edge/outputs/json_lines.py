"""The classification lines of the contract: a JSON object an image and model, for machines."""

from __future__ import annotations

import json
from typing import Any

from ..answers.result import Answer, Result
from ..sources.frames import Frame
from .writer import Writer


class JsonLines:
    """Writes a line an image and model, or one for an image that could not be read; ASCII."""

    failed = 0

    def __init__(self, writer: Writer) -> None:
        """Write to `writer`."""
        self._writer = writer

    def show(self, result: Result) -> None:
        """Write the lines of one image together."""
        self._writer.write("".join(json.dumps(record) + "\n" for record in to_records(result)))

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


def to_records(result: Result) -> list[dict[str, Any]]:
    """Return a classification line for each model, or a line with the error."""
    if result.frame.error is not None:
        return [{"source": result.frame.source, "error": result.frame.error}]
    return [to_record(result.frame, answer, result.age_ms) for answer in result.answers]


def to_record(frame: Frame, answer: Answer, age_ms: float | None) -> dict[str, Any]:
    """Return the classification line of the contract for one frame and one model."""
    prediction = answer.prediction
    return {
        "source": frame.source,
        "frame": frame.index,
        "age_ms": None if age_ms is None else round(age_ms, 1),
        "model": answer.model,
        "predictions": [
            {"label": score.label, "index": score.index, "score": round(score.score, 6)}
            for score in prediction.top
        ],
        "unknown": prediction.unknown,
        "decode_ms": round(answer.decode_ms, 3),
        "infer_ms": round(prediction.infer_ms, 3),
    }
