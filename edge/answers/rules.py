"""From a model's probabilities for one frame to the answer that people see.

Three rules apply, in this order: a moving average over frames, a threshold below which the answer is
"unknown", and a time that a new answer must last before it replaces the shown answer.
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
    """The rules of `--top`, `--threshold`, `--smooth` and `--hold`.

        AnswerRules(top=1, threshold=0.8)
        AnswerRules(smooth=10, hold=0.5)  # The mean of ten frames, changed after half a second.

    `top` is the number of classes in an answer. Below `threshold`, a probability, the answer is "unknown";
    None takes the threshold of the model's card, 0 turns it off. `smooth` is the number of frames in the
    average, and `hold` the seconds that a new answer must last before it is shown. `every` is the value of
    `--every`, None without it. Raises OptionError for values that cannot work.
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
            raise OptionError(f"--hold must be a number of seconds, 0 or more. Received: {self.hold}")

    @property
    def gap(self) -> float:
        """Seconds without a frame after which earlier frames no longer count.

        Ten, since a camera that lost its connection may show another scene afterwards, or three times `every`
        where that is longer.
        """
        return max(GAP_SECONDS, 3 * (self.every or 0.0))


class Held(NamedTuple):
    """The shown answer, and the `rival` that may replace it, the better answer since `since` (seconds).

    Answers are class indices, None for "unknown". Where no other answer is better, `rival` is `shown`.
    """

    shown: int | None
    rival: int | None
    since: float

    def after(self, best: int | None, time: float, hold: float) -> Held:
        """Return the state after a frame at `time` (seconds) whose own answer is `best`."""
        since = self.since if best == self.rival else time
        if best == self.shown or time - since >= hold:
            return Held(best, best, time)
        return self._replace(rival=best, since=since)


def mean_probabilities(window: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the mean of arrays [classes].

    It is computed from all arrays, since a running sum would collect rounding errors over days.
    """
    frames = list(window)
    if len(frames) == 1:
        return frames[0]
    return np.asarray(np.mean(frames, axis=0, dtype=np.float64), np.float32)


def frame_answer(probabilities: NDArray[np.float32], threshold: float | None) -> int | None:
    """Return the index of the highest of probabilities [classes]; None where it is below the threshold."""
    best = int(np.argmax(probabilities))
    return None if threshold is not None and float(probabilities[best]) < threshold else best


class Answers:
    """Applies the rules to the predictions for frame after frame, in order and in one thread.

    Earlier frames are forgotten when a frame of another source arrives, when the time goes back, and after a
    gap (`AnswerRules.gap`).
    """

    def __init__(self, rules: AnswerRules) -> None:
        """Begin without earlier frames."""
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

        `prediction` is that of the model with the name `model`, `card_threshold` the threshold of its card;
        `source` and `time` are the frame's. In the result, `top[0]` is the answer, which may be held although
        another class is likelier by now; the other classes follow by probability. `probabilities` are
        averaged. A frame without a time is a single photo, to which only the threshold applies.
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
    """A model's last probabilities, and its shown answer."""

    def __init__(self, smooth: int) -> None:
        self.window: deque[NDArray[np.float32]] = deque(maxlen=smooth)
        self.held: Held | None = None
        self.time = 0.0


def _first(
    shown: int | None, probabilities: NDArray[np.float32], labels: tuple[str, ...], count: int
) -> tuple[Score, ...]:
    """Return `count` classes, the shown one first and the others by probability."""
    ranked = top_scores(probabilities, labels, count)
    if shown is None or ranked[0].index == shown:
        return ranked
    first = Score(labels[shown], shown, float(probabilities[shown]))
    return (first, *(score for score in ranked if score.index != shown))[:count]
