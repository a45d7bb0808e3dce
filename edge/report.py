"""How predictions are shown: a line an image for people, a JSON object an image and model for machines."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from .classifier import UNKNOWN, Prediction
from .sources import Frame

_RATE_WINDOW = 30


class FrameRate:
    """Frames a second over the last 30 frames."""

    def __init__(self) -> None:
        """Start with no frames seen."""
        self._times: deque[float] = deque(maxlen=_RATE_WINDOW)

    def tick(self) -> float:
        """Count a frame, and return the rate; 0 until there are two."""
        self._times.append(time.monotonic())
        elapsed = self._times[-1] - self._times[0]
        return (len(self._times) - 1) / elapsed if elapsed > 0 else 0.0


def to_record(frame: Frame, model: str, prediction: Prediction, decode_ms: float) -> dict[str, Any]:
    """Return the classification line of the contract for one frame and one model."""
    age = (time.monotonic() - frame.grabbed) * 1000 if frame.grabbed is not None else None
    return {
        "source": frame.source,
        "frame": frame.index,
        "age_ms": None if age is None else round(age, 1),
        "model": model,
        "predictions": [
            {"label": score.label, "index": score.index, "score": round(score.score, 6)}
            for score in prediction.top
        ],
        "unknown": prediction.unknown,
        "decode_ms": round(decode_ms, 3),
        "infer_ms": round(prediction.infer_ms, 3),
    }


def to_line(frame: Frame, answers: list[tuple[str, Prediction]], rate: float | None) -> str:
    """Return one line for people; with several models each answer follows its model's name."""
    parts = []
    for model, prediction in answers:
        scores = ", ".join(f"{score.label} {score.score:.1%}" for score in prediction.top)
        text = f"{UNKNOWN} ({scores})" if prediction.unknown else scores
        parts.append(f"{model}: {text}" if len(answers) > 1 else text)
    where = frame.source if frame.index is None else f"{frame.source} #{frame.index}"
    speed = f"  [{rate:.1f} frames/s]" if rate is not None else ""
    line = f"{where}  {'  |  '.join(parts)}{speed}"
    return line.replace("\n", "\\x0a")  # A file's name may hold one.
