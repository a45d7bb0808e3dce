"""One run of edge-classify: frames go from the source through models and rules to the outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ..answers.result import Answer, FrameResult
from ..answers.rules import AnswerRules, Answers
from ..classifier import Classifier, Prediction
from ..outputs.output import Output, StopRunning
from ..sources.frames import Frame, Source
from .classify import ClassifiedFrame, classify_in_turn

Callback = Callable[[], None]


def _nothing() -> None:
    """Do nothing."""


class RunnerPlan(NamedTuple):
    """What is done with each frame.

    `prepare` cuts and thins out frames before anything is decoded; `reports` says which results reach the
    outputs. `limit` ends the run after so many answered frames. `workers` share out the frames of a source
    that isn't live; 1 is this thread.
    """

    rules: AnswerRules
    prepare: Callable[[Iterator[Frame]], Iterator[Frame]]
    reports: Callable[[FrameResult], bool]
    limit: int | None
    workers: int


class Tally:
    """How many frames came, how many could not be read, and how many of these were damaged.

    `answered` are those that were classified; `moving` those of animations, videos and cameras, `photos` the
    others that could be read. A notice that a camera is lost is no frame.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self.frames = self.failed = self.damaged = self.photos = self.moving = 0

    @property
    def answered(self) -> int:
        """The number of frames that were classified."""
        return self.frames - self.failed


class Session:
    """Classifies what a source yields; `tally` is true at any time, also after Ctrl-C."""

    def __init__(self, source: Source, classifiers: Sequence[Classifier], plan: RunnerPlan) -> None:
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
        alive: Callback = _nothing,
        idle: Callback = _nothing,
    ) -> None:
        """Classify until the source ends, the limit is reached, or an output stops it.

        `outputs` get the results that the plan reports, and `watching` ones every result. `alive` is called
        after every frame, and `idle` once a second while files keep the workers waiting.
        """
        try:
            for classified in self._classify(idle):
                result = self._result(classified)
                self._count(classified)
                reported = self._plan.reports(result) and not self._is_old_news(classified)
                for output in (*watching, *outputs) if reported else watching:
                    output.show(result)
                alive()
                if self.tally.answered == self._plan.limit:
                    return
        except StopRunning:
            return

    def _count(self, classified: ClassifiedFrame) -> None:
        frame, tally = classified.frame, self.tally
        if self.live and frame.error is not None and not classified.damaged:
            return
        tally.frames += 1
        tally.failed += frame.error is not None
        tally.damaged += classified.damaged
        tally.moving += frame.time is not None
        tally.photos += frame.time is None and frame.error is None

    def _is_old_news(self, classified: ClassifiedFrame) -> bool:
        """A stream with a bad connection damages frame after frame: all are counted, the first is shown."""
        return self.live and classified.damaged and self.tally.damaged > 1

    def _classify(self, idle: Callback) -> Iterator[ClassifiedFrame]:
        frames = self._plan.prepare(iter(self._source))
        if self._plan.workers == 1:
            return classify_in_turn(frames, self._classifiers)
        from .pool import classify_in_parallel

        return classify_in_parallel(frames, self._classifiers, self._plan.workers, idle)

    def _result(self, classified: ClassifiedFrame) -> FrameResult:
        frame = classified.frame
        age = None if frame.grabbed is None else (classified.finished - frame.grabbed) * 1000
        answers = tuple(
            Answer(
                classifier.name,
                self._answer(classifier, prediction, frame),
                decode_ms,
                self._plan.rules.threshold_of(classifier.threshold),
            )
            for classifier, prediction, decode_ms in zip(
                self._classifiers, classified.predictions, classified.decode_ms, strict=False
            )
        )
        return FrameResult(frame, answers, age)

    def _answer(self, classifier: Classifier, prediction: Prediction, frame: Frame) -> Prediction:
        return self._answers.answer(
            classifier.name, classifier.labels, prediction, classifier.threshold, frame.source, frame.time
        )
