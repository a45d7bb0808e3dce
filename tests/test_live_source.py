"""What becomes of a camera's frames, with cameras that do as they are told."""

from __future__ import annotations

import gc
import re
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from edge_classify.edge.errors import OptionError, SourceError
from edge_classify.edge.sources.camera import CameraOptions, Shot
from edge_classify.edge.sources.frames import EncodedPicture, PixelPicture, ReadyPicture
from edge_classify.edge.sources.live import LiveSource
from PIL import Image

from .support.waiting import wait_until


class Scripted:
    """A camera whose pictures are numbered bytes; `step` may wait, raise, or end it."""

    ends = False

    def __init__(self, step: Callable[[int], None] = lambda number: None, last: int | None = None) -> None:
        self.name = "scripted"
        self.count = 0
        self.closed = threading.Event()
        self._step = step
        self._last = last

    def read(self) -> Shot | None:
        if self.count == self._last:
            return None
        self._step(self.count)
        self.count += 1
        return Shot(EncodedPicture(b"%d" % self.count), time.monotonic())

    def close(self) -> None:
        self.closed.set()


def slowly(_: int) -> None:
    time.sleep(0.01)


class Attempts:
    """Opens the cameras given, one after the other; None is one that cannot be opened."""

    def __init__(self, *cameras: Scripted | None) -> None:
        self.times: list[float] = []
        self._cameras = iter(cameras)

    def __call__(self) -> Scripted:
        self.times.append(time.monotonic())
        camera = next(self._cameras)
        if camera is None:
            raise SourceError("it is not there")
        return camera


def test_lost_camera_is_tried_again_with_growing_pauses_and_said_once() -> None:
    attempts = Attempts(Scripted(slowly, 3), None, None, None, Scripted(slowly))
    remarks: list[str] = []
    source = LiveSource("x", attempts, report=remarks.append, pauses=(0.05, 0.2, 0.4))
    frames = iter(source)
    errors = [frame.error for frame in islice(frames, 6) if frame.error]
    source.close()
    assert errors == ["--camera scripted was lost: it ended after 3 pictures. Trying again until it is back"]
    assert re.fullmatch(r"--camera scripted is back after [1-9]\d? s", "".join(remarks))
    pauses = np.diff(attempts.times)[1:]  # The first holds the frames that came.
    assert pauses[0] >= 0.2 and pauses[1] >= 0.4 and pauses[2] >= 0.4  # The last pause stays.


def test_camera_that_is_lost_again_at_once_is_not_opened_faster_and_faster() -> None:
    attempts = Attempts(*(Scripted(last=1) for _ in range(4)))
    source = LiveSource("x", attempts, pauses=(0.01, 0.3))
    frames = iter(source)
    while len(attempts.times) < 4:
        next(frames)
    source.close()
    assert np.diff(attempts.times)[-1] >= 0.3


def test_camera_that_cannot_be_opened_at_first_is_an_error_at_once() -> None:
    with pytest.raises(SourceError, match=r"^--camera x cannot be opened: it is not there$"):
        LiveSource("x", Attempts(None))


def test_error_that_is_no_loss_reaches_the_consumer() -> None:
    def fail(number: int) -> None:
        if number == 2:
            raise ZeroDivisionError

    source = LiveSource("x", Attempts(Scripted(fail)))
    with pytest.raises(ZeroDivisionError):
        list(source)


def test_readers_that_are_stuck_are_abandoned_and_never_more_than_three() -> None:
    release = threading.Event()
    opened: list[Scripted] = []
    stuck = True

    def wait(number: int) -> None:
        if number and stuck:
            release.wait()
        slowly(number)

    def open_camera() -> Scripted:
        opened.append(Scripted(wait))
        return opened[-1]

    source = LiveSource("x", open_camera, CameraOptions(frozen_after=0.1), pauses=(0.01,))
    frames = iter(source)
    seen: list[str | None] = []
    consumer = threading.Thread(target=lambda: seen.extend(frame.error for frame in frames))
    consumer.start()
    wait_until(lambda: len(opened) == 3)
    time.sleep(0.5)  # Time enough for many more attempts.
    assert len(opened) == 3
    stuck = False
    release.set()
    wait_until(
        lambda: all(camera.closed.is_set() for camera in opened[:2])
    )  # They clean up behind themselves.
    wait_until(lambda: len(seen) > 0 and seen[-1] is None)
    source.close()
    consumer.join()


def test_idle_is_called_while_no_frame_comes_and_what_it_raises_goes_through() -> None:
    never = threading.Event()

    def stall() -> None:
        never.wait()

    class EnoughError(Exception):
        pass

    calls = []

    def idle() -> None:
        calls.append(time.monotonic())
        if len(calls) == 2:
            raise EnoughError

    source = LiveSource("x", Attempts(Scripted(lambda _: stall())), idle=idle)
    began = time.monotonic()
    with pytest.raises(EnoughError):
        next(iter(source))
    assert calls[0] - began < 1.0 + 5.0  # Twice a second, and a busy machine.
    never.set()
    source.close()


def test_opening_that_hangs_can_be_given_up() -> None:
    never = threading.Event()

    def hang() -> Scripted:
        never.wait()
        return camera

    def interrupt() -> None:
        raise KeyboardInterrupt

    camera = Scripted()
    with pytest.raises(KeyboardInterrupt):
        LiveSource("x", hang, idle=interrupt)
    never.set()
    assert camera.closed.wait(30)  # What was opened too late is given back.


def test_frames_are_turned_clockwise() -> None:
    picture = Image.new("RGB", (3, 2))
    picture.putpixel((0, 0), (255, 0, 0))

    class One(Scripted):
        def read(self) -> Shot | None:
            time.sleep(0.01)
            return Shot(ReadyPicture(picture), time.monotonic())

    source = LiveSource("x", One, CameraOptions(rotate=90))
    frame = next(iter(source))
    source.close()
    assert frame.picture is not None
    turned = frame.picture.image()
    assert turned.size == (2, 3) and turned.getpixel((1, 0)) == (255, 0, 0)  # From top left to top right.


def test_frame_rate_limits_how_many_frames_are_looked_at() -> None:
    source = LiveSource("x", Attempts(Scripted(slowly)), CameraOptions(fps=20))
    frames = list(islice(source, 11))
    source.close()
    times = [frame.grabbed for frame in frames if frame.grabbed is not None]
    indices = [frame.index for frame in frames if frame.index is not None]
    assert times[-1] - times[0] > 9.5 / 20
    assert indices[-1] - indices[0] > 10  # Those between are counted.


def test_arrays_that_stay_the_same_are_noticed_though_they_are_different_objects() -> None:
    still = threading.Event()
    rng = np.random.default_rng(0)
    first = rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)

    class Pixels(Scripted):
        def read(self) -> Shot | None:
            time.sleep(0.005)
            pixels = first.copy()
            if not still.is_set():
                pixels[63, 63] = rng.integers(0, 255, 3)  # A single pixel, which no sample holds.
            return Shot(PixelPicture(pixels), time.monotonic())

    source = LiveSource("x", Pixels, CameraOptions(frozen_after=0.5))
    frames = iter(source)
    began = time.monotonic()
    while time.monotonic() < began + 1.5:
        assert next(frames).error is None
    still.set()
    error = next(frame.error for frame in frames if frame.error)
    source.close()
    assert "it has shown the same picture for 0.5 s" in error


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": (0, 480)}, "size must be 1x1 to 16384x16384. Received: 0x480"),
        ({"fps": 0.0}, "fps must be above 0"),
        ({"fps": float("nan")}, "fps must be above 0"),
        ({"rotate": 45}, "rotate must be 0, 90, 180 or 270 degrees. Received: 45"),
        ({"frozen_after": -1.0}, "frozen_after must be 0 or more seconds"),
        ({"frozen_after": float("inf")}, "frozen_after must be 0 or more seconds"),
    ],
)
def test_options_that_cannot_work_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        CameraOptions(**values)  # type: ignore[arg-type]


def resident_bytes() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_memory_does_not_grow_over_two_hundred_thousand_frames() -> None:
    frame_bytes = 20_000

    class Many(Scripted):
        def read(self) -> Shot | None:
            self.count += 1
            return Shot(EncodedPicture(b"%08d" % self.count + bytes(frame_bytes)), time.monotonic())

    camera = Many()
    source = LiveSource("x", lambda: camera)
    frames: Iterator[object] = iter(source)
    grown = 0
    while camera.count < 200_000:
        next(frames)
        if not grown and camera.count > 1_000:
            grown = resident_bytes()
    after = resident_bytes()
    source.close()
    assert after - grown < 5_000_000


def test_camera_that_is_lost_before_its_first_frame_is_an_error_and_not_tried_again() -> None:
    attempts = Attempts(Scripted(last=0), Scripted(slowly))
    source = LiveSource("x", attempts, pauses=(0.01,))
    with pytest.raises(
        SourceError, match=r"^--camera scripted gives no pictures: it ended after 0 pictures$"
    ):
        next(iter(source))
    source.close()
    assert len(attempts.times) == 1
