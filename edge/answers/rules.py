"""From a model's probabilities for one frame to the answer that people see.

Three rules apply, in this order: a moving average over frames, a threshold below which the answer is
"unknown", and a time that another answer must last before it replaces the one that is shown.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..classifier import Prediction, Score, top_scores
from ..errors import OptionError

GAP_SECONDS = 10.0
MAX_SMOOTH = 1000  # Frames: 4 MB for 1,000 classes.


@dataclass(frozen=True)
class AnswerRules:
    """What `--top`, `--threshold`, `--smooth` and `--hold` ask for.

    `top` is how many classes an answer lists. Below `threshold`, a probability, the answer is "unknown";
    None leaves it to the model's card, 0 means never. `smooth` is how many frames the average is of, and
    `hold` how many seconds another answer must last before it is shown. `every` is `--every`, if that was
    given. Raises OptionError for values that cannot work.
    """

    top: int = 3
    threshold: float | None = None
    smooth: int = 1
    hold: float = 0.0
    every: float | None = None

    def __post_init__(self) -> None:
        if self.top < 1:
            raise OptionError(f"--top must be at least 1. Received: {self.top}")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise OptionError(f"--threshold must be a probability, 0 to 1. Received: {self.threshold}")
        if not 1 <= self.smooth <= MAX_SMOOTH:
            raise OptionError(f"--smooth must be 1 to {MAX_SMOOTH:,} frames. Received: {self.smooth}")
        if not (math.isfinite(self.hold) and self.hold >= 0):
            raise OptionError(f"--hold must be seconds, 0 or more. Received: {self.hold}")

    @property
    def gap(self) -> float:
        """Seconds without a frame after which what was seen before counts no more.

        Ten: a camera that lost its connection may be looking at something else when it is back. Where `every`
        lets few frames pass, three times that.
        """
        return max(GAP_SECONDS, 3 * (self.every or 0.0))


class Held(NamedTuple):
    """Which answer is shown, and since when, in seconds, another one has been the better one.

    Answers are class indices, and None for "unknown". Where no other is better, `rival` is `shown`.
    """

    shown: int | None
    rival: int | None
    since: float

    def after(self, best: int | None, time: float, hold: float) -> Held:
        """Return what is shown when `best` is the frame's own answer at `time`."""
        since = self.since if best == self.rival else time
        if best == self.shown or time - since >= hold:
            return Held(best, best, time)
        return self._replace(rival=best, since=since)


def mean_probabilities(window: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the mean of arrays [classes].

    It is taken anew each time, since a running sum would gather rounding errors over days.
    """
    frames = list(window)
    if len(frames) == 1:
        return frames[0]
    return np.asarray(np.mean(frames, axis=0, dtype=np.float64), np.float32)


def frame_answer(probabilities: NDArray[np.float32], threshold: float | None) -> int | None:
    """Return the index of the highest of probabilities [classes]; None, "unknown", if that is too low."""
    best = int(np.argmax(probabilities))
    return None if threshold is not None and float(probabilities[best]) < threshold else best


class Answers:
    """Applies the rules to what models say about frame after frame. Takes frames in order, from one thread.

    What it remembers belongs to one source, and is dropped when a frame of another one arrives, when the
    clock goes back, or after a gap (`AnswerRules.gap`).
    """

    def __init__(self, rules: AnswerRules) -> None:
        """Begin without a past."""
        self._rules = rules
        self._source: str | None = None
        self._pasts: dict[str, _Past] = {}

    def answer(
        self,
        model: str,
        labels: tuple[str, ...],
        prediction: Prediction,
        card_threshold: float | None,
        source: str,
        time: float | None,
    ) -> Prediction:
        """Return the answer to one frame.

        `prediction` is what the model called `model` said, `card_threshold` what its card says about
        "unknown", `source` and `time` are the frame's. `top[0]` of what is returned is the answer, which
        may be one that is held though another class is likelier by now; the others follow by probability.
        `probabilities` are the averaged ones. A frame without a time is a photo of its own, to which only
        the threshold applies.
        """
        threshold = card_threshold if self._rules.threshold is None else self._rules.threshold
        probabilities = prediction.probabilities
        if time is None:
            shown = frame_answer(probabilities, threshold)
        else:
            past = self._past(model, source, time)
            past.window.append(probabilities)
            probabilities = mean_probabilities(past.window)
            best = frame_answer(probabilities, threshold)
            before = past.held or Held(best, best, time)
            past.held = before.after(best, time, self._rules.hold)
            shown = past.held.shown
        scores = _first(shown, probabilities, labels, self._rules.top)
        return Prediction(scores, shown is None, probabilities, prediction.infer_ms)

    def _past(self, model: str, source: str, time: float) -> _Past:
        if source != self._source:
            self._source, self._pasts = source, {}
        past = self._pasts.get(model)
        if past is None or not 0 <= time - past.time <= self._rules.gap:
            past = self._pasts[model] = _Past(self._rules.smooth)
        past.time = time
        return past


class _Past:
    """What is remembered of one model's answers: the last probabilities, and the label shown."""

    def __init__(self, smooth: int) -> None:
        self.window: deque[NDArray[np.float32]] = deque(maxlen=smooth)
        self.held: Held | None = None
        self.time = 0.0


def _first(
    shown: int | None, probabilities: NDArray[np.float32], labels: tuple[str, ...], count: int
) -> tuple[Score, ...]:
    """Return `count` classes by probability, but the one that is shown before all others."""
    ranked = top_scores(probabilities, labels, count)
    if shown is None or ranked[0].index == shown:
        return ranked
    first = Score(labels[shown], shown, float(probabilities[shown]))
    return (first, *(score for score in ranked if score.index != shown))[:count]
