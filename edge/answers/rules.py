"""From a model's probabilities for one frame to the answer that people see.

Three rules apply, in this order: a moving average over frames, what makes an answer "unknown" or "unsure",
and a time that a new answer must last before it replaces the shown answer.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..classifier import Doubt, Prediction, Score, among_classes, doubt_of, top_scores
from ..errors import OptionError

GAP_SECONDS = 10.0
MAX_SMOOTH = 1000  # Frames: 4 MB for 1,000 classes.
_UNSURE_BETWEEN = 2  # Classes that an unsure answer names at least.


@dataclass(frozen=True)
class AnswerRules:
    """The rules of `--top`, `--threshold`, `--smooth`, `--hold` and `--no-unknown`.

        AnswerRules(top=1, threshold=0.8)
        AnswerRules(smooth=10, hold=0.5)  # The mean of ten frames, changed after half a second.

    `top` is the number of classes in an answer; one that is unsure has two at least. Below `threshold`, a
    probability, the answer is "unsure"; None takes the threshold of the model's card, 0 turns it off. Without
    `unknown` no answer is "unknown": the output for unknown things is left out. `smooth` is the number of
    frames in the average, and `hold` the seconds that a new answer must last before it is shown. `every` is
    the value of `--every`, None without it. Raises OptionError for values that cannot work.
    """

    top: int = 3
    threshold: float | None = None
    smooth: int = 1
    hold: float = 0.0
    every: float | None = None
    unknown: bool = True

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

    def threshold_of(self, card_threshold: float | None) -> float | None:
        """Return the threshold for a model whose card has `card_threshold`; None means none."""
        return card_threshold if self.threshold is None else self.threshold


class Held(NamedTuple):
    """The shown answer, and the `rival` that may replace it, the better answer since `since` (seconds).

    Answers are class indices or doubts. Where no other answer is better, `rival` is `shown`.
    """

    shown: int | Doubt
    rival: int | Doubt
    since: float

    def after(self, best: int | Doubt, time: float, hold: float) -> Held:
        """Return the state after a frame at `time` (seconds) whose own answer is `best`."""
        since = self.since if best == self.rival else time
        if best == self.shown or time - since >= hold:
            return Held(best, best, time)
        return self._replace(rival=best, since=since)


def mean_outputs(window: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the mean of arrays [outputs].

    It is computed from all arrays, since a running sum would collect rounding errors over days.
    """
    frames = list(window)
    if len(frames) == 1:
        return frames[0]
    return np.asarray(np.mean(frames, axis=0, dtype=np.float64), np.float32)


def frame_answer(prediction: Prediction, threshold: float | None) -> int | Doubt:
    """Return the index of the likeliest class, or why it is not the answer."""
    probabilities = prediction.probabilities
    return doubt_of(probabilities, threshold, prediction.unknown_share) or int(np.argmax(probabilities))


def outputs_of(prediction: Prediction) -> NDArray[np.float32]:
    """Return all outputs, which sum to 1: float32 [classes], or [classes + 1] with the unknown one."""
    share = prediction.unknown_share
    if share is None:
        return prediction.probabilities
    return np.append(prediction.probabilities * np.float32(1 - share), np.float32(share))


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
        averaged, and so is the share of `none_of_these`. A frame without a time is a single photo, which is
        neither averaged nor held.
        """
        threshold = self._rules.threshold_of(card_threshold)
        if not self._rules.unknown:
            prediction = prediction._replace(none_of_these=None)
        if time is None:
            shown = frame_answer(prediction, threshold)
        else:
            past = self._past(model, source, time)
            prediction = past.average(prediction)
            best = frame_answer(prediction, threshold)
            before = past.held or Held(best, best, time)
            past.held = before.after(best, time, self._rules.hold)
            shown = past.held.shown
        doubt = shown if isinstance(shown, Doubt) else None
        count = max(self._rules.top, _UNSURE_BETWEEN) if doubt is Doubt.UNSURE else self._rules.top
        scores = _first(shown, prediction.probabilities, labels, count)
        return prediction._replace(top=scores, doubt=doubt)

    def _past(self, model: str, source: str, time: float) -> _Past:
        if source != self._source:
            self._source, self._pasts = source, {}
        past = self._pasts.get(model)
        if past is None or not 0 <= time - past.time <= self._rules.gap:
            past = self._pasts[model] = _Past(self._rules.smooth)
        past.time = time
        return past


class _Past:
    """A model's last outputs, and its shown answer."""

    def __init__(self, smooth: int) -> None:
        self.window: deque[NDArray[np.float32]] = deque(maxlen=smooth)
        self.held: Held | None = None
        self.time = 0.0

    def average(self, prediction: Prediction) -> Prediction:
        """Take a frame's prediction, and return it with the means of the window's outputs."""
        self.window.append(outputs_of(prediction))
        if len(self.window) == 1:  # As it came: dividing the outputs again would round them.
            return prediction
        outputs, last = mean_outputs(self.window), prediction.none_of_these
        if last is None:
            return prediction._replace(probabilities=outputs)
        share = Score(last.label, last.index, float(outputs[-1]))
        return prediction._replace(probabilities=among_classes(outputs), none_of_these=share)


def _first(
    shown: int | Doubt, probabilities: NDArray[np.float32], labels: tuple[str, ...], count: int
) -> tuple[Score, ...]:
    """Return `count` classes, the shown one first and the others by probability."""
    ranked = top_scores(probabilities, labels, count)
    if isinstance(shown, Doubt) or ranked[0].index == shown:
        return ranked
    first = Score(labels[shown], shown, float(probabilities[shown]))
    return (first, *(score for score in ranked if score.index != shown))[:count]
