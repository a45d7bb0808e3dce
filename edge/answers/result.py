"""The answers to one frame."""

from __future__ import annotations

from typing import NamedTuple

from ..classifier import Doubt, Prediction, Score, doubt_of
from ..sources.frames import Frame


class Answer(NamedTuple):
    """One model's answer to one frame.

    `prediction.top[0]` is the answer, after smoothing and holding; with a `prediction.doubt` none of the
    classes is. `decode_ms` is the time of decoding, cutting and resizing. Below `threshold`, a probability,
    the model's answers are unsure; None means never.
    """

    model: str
    prediction: Prediction
    decode_ms: float
    threshold: float | None = None

    @property
    def label(self) -> str:
        """The label, "unsure", or what the model calls unknown things."""
        return self.word or self.prediction.best.label

    @property
    def word(self) -> str | None:
        """The word for an answer that is none of the classes; None where one of them is the answer."""
        doubt, last = self.prediction.doubt, self.prediction.none_of_these
        if doubt is None:
            return None
        return last.label if doubt is Doubt.UNKNOWN and last is not None else doubt.value

    @property
    def reason(self) -> str | None:
        """Why none of the classes is the answer, as part of a sentence; None where one of them is.

        "between cat (48 %) and dog (45 %), below the threshold of 80 %"
        "like none of the 5 classes; the nearest is cat"
        """
        prediction = self.prediction
        doubt, top, probabilities = prediction.doubt, prediction.top, prediction.probabilities
        if doubt is None:
            return None
        best = " and ".join(map(_with_percent, top[:2]))
        if doubt is not doubt_of(probabilities, self.threshold, prediction.unknown_share):
            return f"held from earlier frames; likeliest now: {best}"
        if doubt is Doubt.UNKNOWN:
            return f"like none of the {len(probabilities)} classes; the nearest is {top[0].label}"
        return f"between {best}, below the threshold of {_percent(self.threshold or 0.0)}"


class FrameResult(NamedTuple):
    """The answers of all models to a frame; none where the frame has an error.

    `age_ms` is the age of a live frame when its last answer was ready; None for files.
    """

    frame: Frame
    answers: tuple[Answer, ...] = ()
    age_ms: float | None = None


def _with_percent(score: Score) -> str:
    return f"{score.label} ({_percent(score.score)})"


def _percent(probability: float) -> str:
    """Return "48 %" or "49.2 %": with less the best class might look equal to the threshold."""
    return f"{f'{probability * 100:.1f}'.removesuffix('.0')} %"
