from __future__ import annotations

import math

import numpy as np
import pytest
from edge_classify.edge.answers.pacing import OnChange, paced
from edge_classify.edge.answers.result import Answer, FrameResult
from edge_classify.edge.classifier import Doubt, Prediction, top_scores
from edge_classify.edge.errors import OptionError
from edge_classify.edge.sources.frames import Frame, ReadyPicture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

PICTURE = ReadyPicture(Image.new("RGB", (4, 4)))


def video(times: list[float], source: str = "video.mp4") -> list[Frame]:
    return [Frame(source, PICTURE, index=i, seconds=time) for i, time in enumerate(times)]


def seconds(frames: list[Frame], every: float | None) -> list[float | None]:
    return [frame.time for frame in paced(frames, every)]


def test_every_frame_passes_where_no_pace_is_asked_for() -> None:
    frames = video([0.0, 0.01, 0.02])
    assert list(paced(frames, None)) == frames


def test_one_frame_passes_in_each_interval_without_drift() -> None:
    frames = video([i / 25 for i in range(250)])
    assert seconds(frames, 0.2) == pytest.approx([i / 5 for i in range(50)])
    late = video([0.0, 0.9, 1.3, 1.9, 2.05, 2.9, 3.2])
    assert seconds(late, 1) == [0.0, 1.3, 2.05, 3.2]


def test_times_that_were_rounded_down_to_the_millisecond_are_not_too_early() -> None:
    frames = video([math.floor(i * 1000 / 30) / 1000 for i in range(301)])
    assert len(seconds(frames, 1 / 3)) == 31


def test_live_frames_are_paced_by_when_they_were_taken() -> None:
    frames = [Frame("0", PICTURE, index=i, grabbed=1e6 + i * 0.4) for i in range(20)]
    assert [frame.index for frame in paced(frames, 2.0)] == [0, 5, 10, 15]


def test_photos_and_errors_always_pass_and_change_nothing() -> None:
    photo, broken = Frame("a.jpg", PICTURE), Frame("video.mp4", None, "damaged", index=1, seconds=0.1)
    first, second, third = video([0.0, 0.5, 1.0])
    frames = [photo, first, broken, photo, second, third]
    assert list(paced(frames, 1)) == [photo, first, broken, photo, third]


def test_each_video_begins_anew_and_so_does_one_that_is_shown_again() -> None:
    frames = video([0.0, 0.5], "a") + video([0.0, 0.5], "b") + video([0.0, 0.5], "b")
    assert [(f.source, f.time) for f in paced(frames, 1)] == [("a", 0.0), ("b", 0.0), ("b", 0.0)]


@given(st.lists(st.floats(0.002, 20), max_size=60), st.floats(0.01, 50))
def test_frames_that_pass_lie_in_different_intervals_and_every_interval_with_frames_has_one(
    steps: list[float], every: float
) -> None:
    times = np.cumsum([0.0, *steps]).tolist()
    passed = seconds(video(times), every)
    intervals = [math.floor((time + 0.001) / every) for time in times]
    firsts = {interval: time for time, interval in zip(reversed(times), reversed(intervals), strict=True)}
    assert passed == list(firsts.values())[::-1]


def test_nothing_is_read_ahead_of_the_frame_that_passes() -> None:
    source = iter(video([0.0, 0.5, 1.0, 1.5]))
    pace = paced(source, 1)
    next(pace)
    assert next(source).time == 0.5


@pytest.mark.parametrize("every", [0.0, -1.0, math.nan, math.inf])
def test_pace_that_cannot_work_is_refused_at_once(every: float) -> None:
    with pytest.raises(OptionError, match=r"^--every must be a number of seconds above 0\. Received: "):
        paced([], every)


def result(label: str, source: str = "camera", time: float | None = 0.0, other: str = "cat") -> FrameResult:
    def answer(model: str, label: str) -> Answer:
        array = np.array([label == "cat", label == "dog"], np.float32)
        scores = top_scores(array, ("cat", "dog"), 2)
        doubt = next((each for each in Doubt if each.value == label), None)
        return Answer(model, Prediction(scores, doubt, array, 1.0), 1.0)

    frame = Frame(source, PICTURE, index=0, seconds=time)
    return FrameResult(frame, (answer("first", label), answer("second", other)))


def error(source: str = "camera") -> FrameResult:
    return FrameResult(Frame(source, None, "lost", index=0, seconds=0.0))


def test_results_pass_when_a_label_changes_and_the_first_always() -> None:
    change = OnChange()
    labels = ["cat", "cat", "dog", "dog", "unknown", "unknown", "unsure", "cat"]
    passed = [change.passes(result(label)) for label in labels]
    assert passed == [True, False, True, False, True, False, True, True]


def test_results_pass_when_only_the_second_model_changes() -> None:
    change = OnChange()
    others = ["cat", "dog", "dog"]
    assert [change.passes(result("cat", other=other)) for other in others] == [True, True, False]


def test_errors_pass_and_so_does_what_follows_them() -> None:
    change = OnChange()
    results = [result("cat"), error(), error(), result("cat"), result("cat")]
    assert [change.passes(each) for each in results] == [True, True, True, True, False]


def test_photos_and_the_first_of_another_source_pass_with_the_same_label() -> None:
    change = OnChange()
    results = [
        result("cat", "a.jpg", None),
        result("cat", "a.jpg", None),
        result("cat", "v"),
        result("cat", "w"),
    ]
    assert all(change.passes(each) for each in results)
    assert not change.passes(result("cat", "w"))
