"""What came of one frame."""

from __future__ import annotations

from typing import NamedTuple

from ..classifier import UNKNOWN, Prediction
from ..sources.frames import Frame


class Answer(NamedTuple):
    """One model's answer to one frame.

    `prediction.top[0]` is the answer, also where smoothing or holding changed it; `prediction.unknown` says
    that it is not sure enough. `decode_ms` is what decoding, cutting and resizing cost.
    """

    model: str
    prediction: Prediction
    decode_ms: float

    @property
    def label(self) -> str:
        """The label, or "unknown"."""
        return UNKNOWN if self.prediction.unknown else self.prediction.best.label


class Result(NamedTuple):
    """What all models said about a frame; or `frame.error`, and no answers.

    `age_ms` is how old a live frame was when the last answer to it was there; None for files.
    """

    frame: Frame
    answers: tuple[Answer, ...] = ()
    age_ms: float | None = None
