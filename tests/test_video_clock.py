"""The times of a video's frames, where OpenCV gives a time stamp and where it gives none."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from edge_classify.edge.sources.video_clock import VideoClock

CV2 = SimpleNamespace(CAP_PROP_FPS=5, CAP_PROP_POS_MSEC=0)


class Capture:
    """cv2.VideoCapture at the frame that was grabbed last; stamps in milliseconds."""

    def __init__(self, rate: float, stamps: list[float]) -> None:
        self.rate = rate
        self.stamps = iter(stamps)

    def get(self, what: int) -> float:
        return self.rate if what == CV2.CAP_PROP_FPS else next(self.stamps)


def times(rate: float, stamps: list[float]) -> list[float | None]:
    clock = VideoClock(CV2, Capture(rate, stamps))
    return [clock.next_time() for _ in stamps]


def test_times_count_from_the_first_frame() -> None:
    # An AVI file with B-frames begins at 40 ms: measured with OpenCV 4.6 and 5.0.
    assert times(25, [40, 80, 120]) == pytest.approx([0, 0.04, 0.08])


def test_frames_without_time_stamp_at_the_end_follow_at_the_last_interval() -> None:
    # What OpenCV 4.6 gives for an H.264 film with two B-frames, whose stamps are 0, 1, 3, 5 and 7 s.
    assert times(1.5, [0, 1000, 3000, 0, 0]) == [0, 1, 3, 5, 7]


def test_stream_without_time_stamps_takes_the_stated_rate() -> None:
    assert times(25, [0, 0, 0, 0]) == pytest.approx([0, 0.04, 0.08, 0.12])


@pytest.mark.parametrize("rate", [0, -1, 1e-300, float("nan"), float("inf"), 90_000])
def test_no_time_is_made_up_where_there_is_neither_a_stamp_nor_a_rate(rate: float) -> None:
    assert times(rate, [0, 0, 0]) == [0, None, None]
    assert times(rate, [0, 500, 700]) == pytest.approx([0, 0.5, 0.7])


def test_stamp_that_is_no_number_counts_as_none() -> None:
    # What a film gives whose time stamps count in units of 1/0 seconds.
    assert times(25, [0, 40, 1e300, 120]) == pytest.approx([0, 0.04, 0.08, 0.12])
    assert times(25, [0, 40, float("inf"), float("nan"), 160]) == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])


def test_time_never_runs_backwards() -> None:
    assert times(25, [0, 400, 400, 200, 440]) == pytest.approx([0, 0.4, 0.4, 0.4, 0.44])
