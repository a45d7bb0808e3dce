"""Which frames are kept, and how many of them."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np

from ..answers.result import FrameResult
from ..errors import OptionError

ASSUMED_THRESHOLD = 0.5  # Of a model whose card has no threshold.


@dataclass(frozen=True)
class CollectRules:
    """The rules of `--collect-below`, `-tie`, `-random`, `-rate`, `-max` and `-bytes`.

    A frame is kept when any model's answer is unknown, when its highest probability is below `below` (None:
    the threshold of its card, or 0.5), when its two highest probabilities differ by less than `tie`, or at
    random with the probability `random`. At most `per_minute` frames of a camera or video are kept per
    minute of its own time, and at most `max_files` pictures and `max_bytes` bytes in the folder. Raises
    OptionError for values that cannot work.
    """

    below: float | None = None
    tie: float = 0.1
    random: float | None = None
    per_minute: float = 6.0
    max_files: int = 1000
    max_bytes: int = 500_000_000

    def __post_init__(self) -> None:
        for name, share in (("below", self.below), ("tie", self.tie), ("random", self.random)):
            if share is not None and not 0 <= share <= 1:
                raise OptionError(f"--collect-{name} must be 0 to 1. Received: {share}")
        if not (math.isfinite(self.per_minute) and self.per_minute > 0):
            raise OptionError(
                f"--collect-rate must be pictures per minute, above 0. Received: {self.per_minute}"
            )
        for name, limit in (("max", self.max_files), ("bytes", self.max_bytes)):
            if limit < 1:
                raise OptionError(f"--collect-{name} must be at least 1. Received: {limit}")

    @property
    def interval(self) -> float:
        """Seconds between two frames that are kept."""
        return 60 / self.per_minute


def reasons_to_keep(
    result: FrameResult, rules: CollectRules, thresholds: dict[str, float | None], chance: random.Random
) -> list[str]:
    """Return the reasons to keep a frame, in words; an empty list where there is none.

    `thresholds` are those of the cards, by the models' names. One number is drawn from `chance` for each
    result.
    """
    reasons = ["random sample"] if chance.random() < (rules.random or 0.0) else []
    for answer in result.answers:
        probabilities = answer.prediction.probabilities
        best = float(probabilities.max())
        if answer.prediction.unknown:
            reasons.append(f"{answer.model}: looks like none of its classes")
        below = rules.below
        if below is None:
            stated = thresholds.get(answer.model)
            below = ASSUMED_THRESHOLD if stated is None else stated
        if best < below:
            reasons.append(f"{answer.model}: {best:.3f} is below {below:g}")
        if len(probabilities) > 1:
            margin = best - float(np.partition(probabilities, -2)[-2])
            if margin < rules.tie:
                reasons.append(
                    f"{answer.model}: the two best are {margin:.3f} apart, less than {rules.tie:g}"
                )
    return reasons
