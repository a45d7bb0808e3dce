"""The answers to one frame."""

from __future__ import annotations

from typing import NamedTuple

from ..classifier import UNKNOWN, Prediction
from ..sources.frames import Frame


class Answer(NamedTuple):
    """One model's answer to one frame.

    `prediction.top[0]` is the answer, after smoothing and holding; with `prediction.unknown` it is not sure
    enough. `decode_ms` is the time of decoding, cutting and resizing.
    """

    model: str
    prediction: Prediction
    decode_ms: float

    @property
    def label(self) -> str:
        """The label, or "unknown"."""
        return UNKNOWN if self.prediction.unknown else self.prediction.best.label


class FrameResult(NamedTuple):
    """The answers of all models to a frame; none where the frame has an error.

    `age_ms` is the age of a live frame when its last answer was ready; None for files.
    """

    frame: Frame
    answers: tuple[Answer, ...] = ()
    age_ms: float | None = None
