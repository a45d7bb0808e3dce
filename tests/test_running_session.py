"""What a session tells, and to whom."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from edge_classify.edge.answers.pacing import OnChange
from edge_classify.edge.answers.result import FrameResult
from edge_classify.edge.answers.rules import AnswerRules
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.outputs.output import StopRunning
from edge_classify.edge.running.session import RunnerPlan, Session
from edge_classify.edge.sources.frames import EncodedPicture, Frame, Picture, ReadyPicture
from PIL import Image

from .support.tiny_model import COLOURS, write_sealed

HALF_JPEG = EncodedPicture(b"\xff\xd8\xff\xe0 and no more")


class Live:
    """A camera that shows what it is told to."""

    live = True
    total = None

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self._pictures = pictures

    def __iter__(self) -> Iterator[Frame]:
        for number, picture in enumerate(self._pictures):
            yield Frame("camera", picture, index=number, grabbed=time.monotonic())

    def close(self) -> None:
        pass


class Heard:
    """An output that keeps what it is told."""

    failed = 0

    def __init__(self, stop_after: int | None = None) -> None:
        self.results: list[FrameResult] = []
        self._stop_after = stop_after

    def show(self, result: FrameResult) -> None:
        self.results.append(result)
        if len(self.results) == self._stop_after:
            raise StopRunning

    def close(self) -> None:
        pass

    @property
    def labels(self) -> list[str]:
        return [result.answers[0].label if result.answers else "error" for result in self.results]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sealed(tmp_path_factory.mktemp("model") / "tiny.tflite")


def colours(*names: str) -> list[Picture]:
    return [ReadyPicture(Image.new("RGB", (8, 8), COLOURS[name])) for name in names]


def run(model: Path, pictures: Sequence[Picture], told: Heard, watching: Sequence[Heard] = (),
        limit: int | None = None, on_change: bool = False) -> Session:  # fmt: skip
    tells = OnChange().passes if on_change else lambda result: True
    plan = RunnerPlan(AnswerRules(), lambda frames: frames, tells, limit, workers=1)
    session = Session(Live(pictures), [Classifier.from_file(model)], plan)
    session.run([told], watching)
    return session


def test_only_changes_are_told_where_asked_but_watchers_see_every_frame(model: Path) -> None:
    told, watching = Heard(), Heard()
    run(model, colours("red", "red", "blue", "blue", "red"), told, [watching], on_change=True)
    assert told.labels == ["red", "blue", "red"]
    assert watching.labels == ["red", "red", "blue", "blue", "red"]


def test_age_counts_from_the_grab_to_the_last_answer(model: Path) -> None:
    told = Heard()
    run(model, colours("red"), told)
    age = told.results[0].age_ms
    assert age is not None
    assert age >= told.results[0].answers[0].prediction.infer_ms


def test_damaged_frames_of_a_camera_are_told_once_and_all_counted(model: Path) -> None:
    told = Heard()
    (red,) = colours("red")
    session = run(model, [red, HALF_JPEG, red, HALF_JPEG, HALF_JPEG, red], told)
    assert told.labels == ["red", "error", "red", "red"]
    assert (session.tally.frames, session.tally.failed, session.tally.damaged) == (6, 3, 3)


def test_limit_ends_an_endless_source(model: Path) -> None:
    told = Heard()
    run(model, list(itertools.islice(itertools.cycle(colours("red")), 100)), told, limit=7)
    assert len(told.results) == 7


def test_output_that_asks_for_it_ends_the_run(model: Path) -> None:
    told = Heard(stop_after=3)
    session = run(model, colours(*["red"] * 50), told)
    assert (len(told.results), session.tally.frames) == (3, 3)


def test_only_answered_frames_of_a_camera_count_towards_the_limit(model: Path) -> None:
    class Lossy(Live):
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                yield Frame("camera", None, "lost", grabbed=time.monotonic())
                yield frame

    told = Heard()
    plan = RunnerPlan(AnswerRules(), lambda frames: frames, lambda result: True, 2, workers=1)
    (red,) = colours("red")
    session = Session(Lossy([HALF_JPEG, red, red, red]), [Classifier.from_file(model)], plan)
    session.run([told])
    assert told.labels == ["error", "error", "error", "red", "error", "red"]
    assert (session.tally.frames, session.tally.answered, session.tally.damaged) == (3, 2, 1)
