"""One run of edge-classify: what the source yields goes through models and rules to the outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from ..answers.result import Answer, FrameResult
from ..answers.rules import AnswerRules, Answers
from ..classifier import Classifier, Prediction
from ..outputs.output import Output, StopRunning
from ..sources.frames import Frame, Source
from .look import Seen, look_in_turn

Pump = Callable[[], None]


def _nothing() -> None:
    """Do nothing."""


class Plan(NamedTuple):
    """What is done with each frame.

    `prepare` cuts and thins out frames before anything is decoded; `tells` says whether a result is told.
    `limit` ends the run after so many frames. `workers` share out the frames of a source that isn't live;
    1 is this thread.
    """

    rules: AnswerRules
    prepare: Callable[[Iterator[Frame]], Iterator[Frame]]
    tells: Callable[[FrameResult], bool]
    limit: int | None
    workers: int


class Tally:
    """How many frames were looked at, how many could not be read, and how many of these were damaged."""

    def __init__(self) -> None:
        """Begin without any."""
        self.seen = self.failed = self.damaged = 0


class Session:
    """Classifies what a source yields; `tally` is true at any time, also after Ctrl-C."""

    def __init__(self, source: Source, classifiers: Sequence[Classifier], plan: Plan) -> None:
        """Take what was opened already, and stays the caller's to close."""
        self.tally = Tally()
        self.live = source.live
        self._source = source
        self._classifiers = classifiers
        self._plan = plan
        self._answers = Answers(plan.rules)

    def run(
        self,
        outputs: Sequence[Output],
        watching: Sequence[Output] = (),
        alive: Pump = _nothing,
        idle: Pump = _nothing,
    ) -> None:
        """Classify until the source ends, the limit is reached, or an output stops it.

        `outputs` are told what the plan tells, and `watching` ones see every result. `alive` is called after
        every frame, and `idle` once a second while files keep the workers waiting.
        """
        try:
            for seen in self._look(idle):
                result = self._result(seen)
                self._count(seen)
                told = self._plan.tells(result) and not self._is_old_news(seen)
                for output in (*watching, *outputs) if told else watching:
                    output.show(result)
                alive()
        except StopRunning:
            return

    def _count(self, seen: Seen) -> None:
        self.tally.seen += 1
        self.tally.failed += seen.frame.error is not None
        self.tally.damaged += seen.damaged

    def _is_old_news(self, seen: Seen) -> bool:
        """A stream with a bad connection damages frame after frame: the first is told, all are counted."""
        return self.live and seen.damaged and self.tally.damaged > 1

    def _look(self, idle: Pump) -> Iterator[Seen]:
        frames = islice(self._plan.prepare(iter(self._source)), self._plan.limit)
        if self._plan.workers == 1:
            return look_in_turn(frames, self._classifiers)
        from .pool import look_in_parallel

        return look_in_parallel(frames, self._classifiers, self._plan.workers, idle)

    def _result(self, seen: Seen) -> FrameResult:
        frame = seen.frame
        age = None if frame.grabbed is None else (seen.finished - frame.grabbed) * 1000
        answers = tuple(
            Answer(classifier.name, self._answer(classifier, prediction, frame), decode_ms)
            for classifier, prediction, decode_ms in zip(
                self._classifiers, seen.predictions, seen.decode_ms, strict=False
            )
        )
        return FrameResult(frame, answers, age)

    def _answer(self, classifier: Classifier, prediction: Prediction, frame: Frame) -> Prediction:
        return self._answers.answer(
            classifier.name, classifier.labels, prediction, classifier.threshold, frame.source, frame.time
        )
